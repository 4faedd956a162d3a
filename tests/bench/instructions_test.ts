/** Instructions of a step: what is read from callgrind's files, and that counting twice gives the same. */
import assert from "node:assert/strict";
import { byGroup, difference, readCallgrind, total } from "../../cli/bench/callgrind.ts";
import type { StepsCase } from "../../cli/bench/cases.ts";
import { countStep, render } from "../../cli/bench/instructions.ts";
import { buildSpeed } from "../../cli/bench/native.ts";
import { hasValgrind, readBaseline } from "../../cli/bench/valgrind.ts";
import { micro } from "./micro.ts";

const FILE = `# callgrind format
events: Ir

ob=/speed
fl=???
fn=gemm_f32::microkernel::avx::x2x4
0 700

fn=bowline::cpu::attention::forward
0 20
cfn=gemm_f32::microkernel::avx::x2x4
calls=3 0
0 700
0 5

fn=bowline::cpu::attention::forward'2
0 5

fn=main
0 1
cfn=bowline::cpu::attention::forward
calls=1 0
0 730

totals: 731
`;

Deno.test("instructions are those of a function itself, not of what it calls", () => {
  const counts = readCallgrind(FILE);
  assert.deepEqual(Object.fromEntries(counts), {
    "gemm_f32::microkernel::avx::x2x4": 700,
    "bowline::cpu::attention::forward": 30,
    "main": 1,
  });
  assert.deepEqual([...byGroup(counts)], [["gemm kernels", 700], ["attention", 30], ["other", 1]]);
  assert.throws(() => readCallgrind(FILE.replace("totals: 731", "totals: 730")), /have 731, wanted 730/);
  assert.throws(() => readCallgrind(""), /have 0, wanted NaN/);
});

Deno.test("what both runs have cancels", () => {
  const left = difference(new Map([["start", 5], ["step", 30], ["new", 1]]), new Map([["start", 5], ["step", 20]]));
  assert.deepEqual(Object.fromEntries(left), { start: 0, step: 10, new: 1 });
  assert.equal(total(left), 11);
});

Deno.test("a count stands beside an earlier one", () => {
  const now = { name: "nano", isa: "avx2", total: 150, groups: { "attention": 90, "router": 60 } };
  const before = { ...now, total: 100, groups: { "attention": 80, "muon": 20 } };
  const table = render(now, before);
  assert.match(table, /all .* 150 .* 100 % .* 100 .* 1\.5000/);
  assert.match(table, /attention .* 90 .* 60 % .* 80 .* 1\.1250/);
  assert.match(table, /muon .* 0 .* 0 % .* 20 .* 0\.0000/);
});

const RECORD = new URL("../../experiments/records/bench/instructions.json", import.meta.url).pathname;

Deno.test("the record is of a step of nano, and can be compared with", async () => {
  const { name, total, groups } = await readBaseline(RECORD);
  const sum = Object.values(groups).reduce((a, b) => a + b);
  assert.ok(name === "nano" && total > 1e9 && Math.abs(sum / total - 1) < 1e-6, `${name}: ${sum} of ${total}`);
});

const isMissing = !await hasValgrind();
if (isMissing) console.log("skip counting instructions: there is no valgrind (Debian: valgrind)");

Deno.test("counting a step twice gives the same within 0.1 %", { ignore: isMissing }, async () => {
  const program = await buildSpeed("test");
  const [first, second] = [await countStep(program, await micro()), await countStep(program, await micro())];
  assert.ok(first.total > 1e6 && first.isa !== "", JSON.stringify(first));
  assert.ok(Math.abs(second.total / first.total - 1) <= 1e-3, `${first.total} and ${second.total}`);
  for (const group of ["gemm kernels", "attention", "router", "muon", "rmsnorm"]) {
    assert.ok(first.groups[group]! > 0, `${group}: ${JSON.stringify(first.groups)}`);
  }
});

Deno.test("a step with another loss is not counted", { ignore: isMissing }, async () => {
  const wrong: StepsCase = { ...await micro(), goldenLoss: 1 };
  await assert.rejects(countStep(await buildSpeed("test"), wrong), /Cannot report micro: the loss after 1 steps is/);
});

/** Runs the command with no program in PATH; its exit code and what it wrote to stderr. */
async function command(...args: string[]): Promise<[number, string]> {
  const main = new URL("../../cli/bench/instructions.ts", import.meta.url).pathname;
  const { code, stderr } = await new Deno.Command(Deno.execPath(), {
    args: ["run", "--quiet", "--no-prompt", "--allow-read", "--allow-env", "--allow-sys", "--allow-run", main, ...args],
    env: { PATH: "/nowhere" },
    stderr: "piped",
    stdout: "null",
  }).output();
  return [code, new TextDecoder().decode(stderr)];
}

Deno.test("without valgrind nothing is counted", async () => {
  const [code, stderr] = await command();
  assert.equal(code, 2, stderr);
  assert.match(stderr, /^error: Cannot count instructions: there is no valgrind, wanted one in PATH[^\n]*\n$/);
});
