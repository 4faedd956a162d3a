/** Times whole training steps. */
import { countFlops, tokensPerStep } from "../../experiments/mod.ts";
import type { StatValues } from "../../ffi/ts/stats.ts";
import { Trainer } from "../../ffi/ts/trainer.ts";
import type { DeviceFlags } from "../device.ts";
import type { StepsCase } from "./cases.ts";
import { checkGolden } from "./golden.ts";
import { peakMegabytes } from "./memory.ts";
import { type CaseReport, median, row } from "./report.ts";

/**
 * Warms up, checks the loss and times steps for `seconds`. On a device that is named, the row names it, too.
 *
 * @throws {GoldenError} if the loss is not the recorded one.
 */
export async function timeSteps(
  { name: ofCase, plan, warmUpSteps, minSteps, goldenLoss }: StepsCase,
  seconds: number,
  where: DeviceFlags = {},
): Promise<CaseReport[]> {
  const { accumulation, batch, seqLen } = plan.train;
  const tokens = randomTokens(accumulation * batch * (seqLen + 1), plan.model.vocab);
  using trainer = new Trainer(plan, where);
  const { name: device, precision } = trainer.device();
  const name = where.device === undefined ? ofCase : `${ofCase} ${device} ${precision}`;
  for (let i = 0; i < warmUpSteps; i++) await trainer.stepTokens(tokens);
  const timed: StatValues[] = [];
  let elapsed = 0;
  do {
    const stats = await trainer.stepTokens(tokens);
    if (timed.length === 0) checkGolden(name, `the loss after ${warmUpSteps} steps`, stats.loss, goldenLoss, precision);
    timed.push(stats);
    elapsed += stats.stepSeconds;
  } while (timed.length < minSteps || elapsed < seconds);
  const ms = (part: (stats: StatValues) => number) => 1000 * median(timed.map(part));
  const step = ms((stats) => stats.stepSeconds);
  return [row(name, {
    "tokens_per_s": 1000 * tokensPerStep(plan) / step,
    "step_ms": step,
    "forward_ms": ms((stats) => stats.forwardSeconds),
    "backward_ms": ms((stats) => stats.backwardSeconds),
    "optimizer_ms": ms((stats) => stats.optimizerSeconds),
    gflops: countFlops(plan).perStep.total / step / 1e6,
    "peak_mb": peakMegabytes(),
  })];
}

/** Ids below `vocab`, the same ones each time (the multiplicative generator modulo 2^31 - 1). */
export function randomTokens(count: number, vocab: number): Int32Array<ArrayBuffer> {
  let state = 20_260_101;
  return Int32Array.from({ length: count }, () => {
    state = state * 48_271 % 0x7fffffff;
    return Math.floor(state / 0x7fffffff * vocab);
  });
}
