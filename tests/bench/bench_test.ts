/** The benchmark on a model so small that it takes a second: what it reports, and what it refuses to report. */
import assert from "node:assert/strict";
import { bench } from "../../cli/bench/bench.ts";
import { runApart } from "../../cli/bench/child.ts";
import { compare } from "../../cli/bench/reference.ts";
import { median, middleRow, row } from "../../cli/bench/report.ts";
import { render } from "../../cli/bench/table.ts";
import { countFlops } from "../../experiments/mod.ts";
import { hasEmulator } from "../shared.ts";
import { micro as microCase } from "./micro.ts";

const micro = await microCase();
const { plan, goldenLoss } = micro;

function never(error: unknown): never {
  throw error;
}

Deno.test("a report has the probe, the cases and the ops, each with all its numbers", async () => {
  const report = await bench([micro], { rounds: 1, seconds: 0, onFailure: never });
  assert.deepEqual(Object.keys(report), ["probe", "cases", "ops"]);
  assert.deepEqual(Object.keys(report.probe), ["one_gflops", "all_gflops"]);
  assert.deepEqual(report.ops, []);
  const [micros, ...others] = report.cases;
  assert.deepEqual(others, []);
  const { name, ...numbers } = micros!;
  assert.equal(name, "micro");
  const fields = "tokens_per_s step_ms forward_ms backward_ms optimizer_ms gflops share peak_mb".split(" ");
  assert.deepEqual(Object.keys(numbers), fields);
  for (const [field, value] of Object.entries(numbers)) assert.ok(value !== null && value > 0, `${field} is ${value}`);
});

Deno.test("speed follows from the time of a step, the share from the probe", async () => {
  const { probe, cases } = await bench([micro], { rounds: 1, seconds: 0, onFailure: never });
  const [{ tokens_per_s: tokens, step_ms: step, gflops, share }] = cases as unknown as [Record<string, number>];
  assert.ok(Math.abs(tokens! * step! / 1000 - 32) < 1e-9, "2 x 16 tokens in a step");
  assert.ok(Math.abs(gflops! * step! * 1e6 / countFlops(plan).perStep.total - 1) < 1e-12);
  assert.equal(share, gflops! / probe.all_gflops);
});

Deno.test(
  "steps on a device have its name, and no share of the probe of the CPU",
  { ignore: !hasEmulator() },
  async () => {
    const options = { rounds: 1, seconds: 0, onFailure: never, device: "cuda-emulated", precision: "f32" } as const;
    const [row] = (await bench([{ ...micro, minSteps: 1 }], options)).cases;
    assert.deepEqual([row!.name, row!.share], ["micro cuda-emulated f32", null]);
    assert.ok(row!.tokens_per_s! > 0);
  },
);

Deno.test("a loss that differs from the golden one is not reported", async () => {
  const failures: unknown[] = [];
  const begun: string[] = [];
  const { cases } = await bench([{ ...micro, name: "wrong", goldenLoss: goldenLoss * (1 + 1e-4) }, micro], {
    rounds: 3,
    seconds: 0,
    onCase: (name, round) => begun.push(`${name} ${round}`),
    onFailure: (error) => failures.push(error),
  });
  assert.deepEqual(cases.map(({ name }) => name), ["micro"], "the case after it still runs");
  assert.deepEqual(begun, ["wrong 1", "micro 1", "micro 2", "micro 3"], "a case that failed does not run again");
  assert.equal(failures.length, 1);
  assert.match(String(failures[0]), /Cannot report wrong: the loss after 1 steps is \d[^\n]*, wanted \d[^\n]*$/);
});

Deno.test("a golden loss that is no number refuses every loss", async () => {
  const task = { part: "measure", case: { ...micro, goldenLoss: NaN }, folder: "", seconds: 0 } as const;
  await assert.rejects(runApart(task), /Cannot report micro/);
});

Deno.test("the reference is scaled by the probe", () => {
  const cases = [row("nano", { "tokens_per_s": 9568 }), row("nano-untied", { "tokens_per_s": 1 })];
  const report = { probe: { "one_gflops": 40, "all_gflops": 75 }, cases, ops: [] };
  assert.deepEqual(compare(report), [{ name: "nano", scaled: 1196, ratio: 8 }]);
  assert.match(render(report), /nano .*9,568.*1,196.*8\.00x/);
});

Deno.test("cases take turns", async () => {
  const begun: string[] = [];
  const [first, second] = [{ ...micro, name: "first" }, { ...micro, name: "second" }];
  const options = { rounds: 3, seconds: 0, onFailure: never };
  const { cases } = await bench([first, second], {
    ...options,
    onCase: (name, round) => begun.push(`${name} ${round}`),
  });
  assert.deepEqual(begun, ["first 1", "second 1", "first 2", "second 2", "first 3", "second 3"]);
  assert.deepEqual(cases.map(({ name }) => name), ["first", "second"]);
});

Deno.test("of several rounds the middle of each number is reported, but the largest memory", () => {
  const rounds = [[30, 5], [10, 9], [20, 7]].map(([ms, mb]) => row("x", { "step_ms": ms!, "peak_mb": mb! }));
  assert.deepEqual(middleRow(rounds), row("x", { "step_ms": 20, "peak_mb": 9 }));
});

Deno.test("the median is the middle value", () => {
  assert.equal(median([3, 1, 10]), 3);
  assert.equal(median([4, 1, 10, 3]), 3.5);
});

/** Runs the command; its exit code and what it wrote to stderr. */
async function command(...args: string[]): Promise<[number, string]> {
  const main = new URL("../../cli/bench/main.ts", import.meta.url).pathname;
  const { code, stderr } = await new Deno.Command(Deno.execPath(), {
    args: ["run", "--quiet", "--no-prompt", "--allow-read", "--allow-env", "--allow-sys", main, ...args],
    stderr: "piped",
    stdout: "null",
  }).output();
  return [code, new TextDecoder().decode(stderr)];
}

Deno.test("mistakes are told before anything is measured", async () => {
  const wrong: readonly [string[], RegExp][] = [
    [["--only", "nanno"], /Cannot run the case nanno: no such name, wanted nano, /],
    [["--rounds", "2"], /Cannot use --rounds 2: wanted an odd number/],
    [
      ["--record", "not/there/x.json"],
      /Cannot write not\/there\/x.json: not\/there is no folder, wanted one that is there/,
    ],
  ];
  for (const [args, message] of wrong) {
    const [code, stderr] = await command(...args);
    assert.equal(code, 2, stderr);
    assert.match(stderr, message);
  }
});
