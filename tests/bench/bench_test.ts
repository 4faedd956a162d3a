/** The benchmark on a model so small that it takes a second: what it reports, and what it refuses to report. */
import assert from "node:assert/strict";
import { bench } from "../../cli/bench/bench.ts";
import type { StepsCase } from "../../cli/bench/cases.ts";
import { runApart } from "../../cli/bench/child.ts";
import { compare } from "../../cli/bench/reference.ts";
import { median, row } from "../../cli/bench/report.ts";
import { randomTokens } from "../../cli/bench/steps.ts";
import { render } from "../../cli/bench/table.ts";
import { countFlops, manifest, resolve } from "../../experiments/mod.ts";
import { Trainer } from "../../ffi/ts/trainer.ts";
import { hasEmulator } from "../shared.ts";

const plan = resolve(manifest({
  name: "micro",
  model: { family: "olmoe", vocab: 320, width: 32, layers: 4, heads: 2, experts: 8, topK: 2, expertWidth: 16 },
  tie: { groupSize: 2, skipFirst: 1, skipLast: 1 },
  train: { steps: 100_000, batch: 2, seqLen: 16, warmupSteps: 1 },
  data: { corpus: "sotu" },
}));

/** The loss after one step. */
async function lossAfterStep(): Promise<number> {
  using trainer = new Trainer(plan);
  const tokens = randomTokens(2 * 17, 320);
  await trainer.stepTokens(tokens);
  return (await trainer.stepTokens(tokens)).loss;
}

const goldenLoss = await lossAfterStep();
const micro: StepsCase = { kind: "steps", name: "micro", plan, warmUpSteps: 1, minSteps: 3, goldenLoss };

function never(error: unknown): never {
  throw error;
}

Deno.test("a report has the probe, the cases and the ops, each with all its numbers", async () => {
  const report = await bench([micro], { seconds: 0, onFailure: never });
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
  const { probe, cases } = await bench([micro], { seconds: 0, onFailure: never });
  const [{ tokens_per_s: tokens, step_ms: step, gflops, share }] = cases as unknown as [Record<string, number>];
  assert.ok(Math.abs(tokens! * step! / 1000 - 32) < 1e-9, "2 x 16 tokens in a step");
  assert.ok(Math.abs(gflops! * step! * 1e6 / countFlops(plan).perStep.total - 1) < 1e-12);
  assert.equal(share, gflops! / probe.all_gflops);
});

Deno.test(
  "steps on a device have its name, and no share of the probe of the CPU",
  { ignore: !hasEmulator() },
  async () => {
    const options = { seconds: 0, onFailure: never, device: "cuda-emulated", precision: "f32" } as const;
    const [row] = (await bench([{ ...micro, minSteps: 1 }], options)).cases;
    assert.deepEqual([row!.name, row!.share], ["micro cuda-emulated f32", null]);
    assert.ok(row!.tokens_per_s! > 0);
  },
);

Deno.test("a loss that differs from the golden one is not reported", async () => {
  const failures: unknown[] = [];
  const { cases } = await bench([{ ...micro, goldenLoss: goldenLoss * (1 + 1e-4) }, micro], {
    seconds: 0,
    onFailure: (error) => failures.push(error),
  });
  assert.deepEqual(cases.map(({ name }) => name), ["micro"], "the case after it still runs");
  assert.equal(failures.length, 1);
  assert.match(String(failures[0]), /Cannot report micro: the loss after 1 steps is \d[^\n]*, wanted \d[^\n]*$/);
});

Deno.test("a golden loss that is no number refuses every loss", async () => {
  const task = { part: "measure", case: { ...micro, goldenLoss: NaN }, folder: "", seconds: 0 } as const;
  await assert.rejects(runApart(task), /Cannot report micro/);
});

Deno.test("the reference is scaled by the probe", () => {
  const cases = [row("nano", { "tokens_per_s": 9568 }), row("nano-untied", { "tokens_per_s": 1 })];
  const report = { probe: { "one_gflops": 40, "all_gflops": 80 }, cases, ops: [] };
  assert.deepEqual(compare(report), [{ name: "nano", scaled: 1196, ratio: 8 }]);
  assert.match(render(report), /nano .*9,568.*1,196.*8\.00x/);
});

Deno.test("the median is the middle value", () => {
  assert.equal(median([3, 1, 10]), 3);
  assert.equal(median([4, 1, 10, 3]), 3.5);
});

Deno.test("an unknown case is a user's mistake", async () => {
  const main = new URL("../../cli/bench/main.ts", import.meta.url).pathname;
  const { code, stderr } = await new Deno.Command(Deno.execPath(), {
    args: ["run", "--quiet", "--no-prompt", "--allow-read", "--allow-env", "--allow-sys", main, "--case", "nanno"],
    stderr: "piped",
    stdout: "null",
  }).output();
  assert.equal(code, 2);
  assert.match(new TextDecoder().decode(stderr), /Cannot run the case nanno: no such name, wanted nano, /);
});
