/** A case so small that a step takes a millisecond. */
import type { StepsCase } from "../../cli/bench/cases.ts";
import { randomTokens } from "../../cli/bench/steps.ts";
import { manifest, resolve } from "../../experiments/mod.ts";
import { Trainer } from "../../ffi/ts/trainer.ts";

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

/** The case, with the loss that it has here. */
export async function micro(): Promise<StepsCase> {
  return { kind: "steps", name: "micro", plan, warmUpSteps: 1, minSteps: 3, goldenLoss: await lossAfterStep() };
}
