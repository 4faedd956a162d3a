/** Runs a golden case and measures how far it is from what the published trainer did. */
import type { DeviceOptions } from "../../ffi/ts/device.ts";
import { Trainer } from "../../ffi/ts/trainer.ts";
import type { Golden } from "./golden.ts";

/** Worst relative errors of a case. */
export interface Errors {
  readonly name: string;
  /** Loss at step 0. */
  readonly firstLoss: number;
  /** Relative l2 of a tensor's gradient at step 0, after clipping. */
  readonly gradient: number;
  /** Any loss, evaluations included. */
  readonly loss: number;
  readonly gradNorm: number;
  /** Relative l2 of a tensor's final weights, or the error of its length and mean where the case records no more. */
  readonly weights: number;
}

/** Bounds of one case: what two builds of the published trainer differ by, with room for a flipped near-tie in top-K. */
export const BOUNDS = { firstLoss: 2e-6, gradient: 2e-5, loss: 2e-4, gradNorm: 1e-2, weights: 5e-2 } as const;

/** Bounds of the medians over a folder: a flip is rare, so half of the cases must be this close. */
export const MEDIAN_BOUNDS = { loss: 2e-6, weights: 5e-5 } as const;

/** Gradients smaller than this are noise. */
const LEAST_GRADIENT = 1e-5;

/** Runs a case, or its first `steps` steps; then the final weights are not compared, and their error is NaN. */
export async function runCase(
  golden: Golden,
  { device, precision }: DeviceOptions = {},
  steps: number = golden.plan.train.steps,
): Promise<Errors> {
  const { plan, tensors } = golden;
  using trainer = new Trainer(plan, { device, precision });
  for (const [name, values] of gather(golden, "init/")) trainer.write(name, values);
  const train = tensors.i32("tokens/train").values;
  const evalTokens = tensors.i32("tokens/eval").values;
  const width = plan.train.accumulation * plan.train.batch * (plan.train.seqLen + 1);
  const worst = { firstLoss: 0, gradient: 0, loss: 0, gradNorm: 0 };
  const see = (key: keyof typeof worst, got: number, want: number | null | undefined) => {
    if (want !== null && want !== undefined) worst[key] = Math.max(worst[key], Math.abs(got - want) / Math.abs(want));
  };
  for (let step = 0; step < steps; step++) {
    const want = golden.metrics.filter((m) => m["step"] === step);
    const got = await trainer.stepTokens(train.slice(step * width, (step + 1) * width));
    for (const metrics of want) {
      const lm = metrics["train/lm_loss"];
      see("loss", lm === undefined ? got.lmLoss : got.loss, metrics["train/loss"]);
      see("loss", got.lmLoss, lm);
      see("gradNorm", got.gradNorm, metrics["train/grad_norm"]);
    }
    if (step === 0) {
      worst.firstLoss = worst.loss;
      worst.gradient = worstTensor(golden, "grad0/", (name) => trainer.gradient(name), LEAST_GRADIENT) ?? NaN;
    }
    const evaluated = want.find((metrics) => metrics["eval/loss"] !== undefined);
    if (evaluated) see("loss", (await trainer.evaluateTokens(evalTokens)).evalLoss, evaluated["eval/loss"]);
  }
  if (steps < plan.train.steps) return { name: golden.name, ...worst, weights: NaN };
  const final = golden.metrics.at(-1)?.["final/final_eval_loss"];
  see("loss", (await trainer.evaluateTokens(evalTokens)).evalLoss, final);
  const read = (name: string) => trainer.read(name);
  const weights = worstTensor(golden, "final/", read, 0) ?? worstSummary(golden, read);
  return { name: golden.name, ...worst, weights };
}

/** Our parameters put together from the published ones. */
function gather({ tensors, places }: Golden, prefix: string): Map<string, Float32Array<ArrayBuffer>> {
  const sizes = new Map<string, number>();
  for (const { name, start, count } of [...places.values()].flat()) {
    sizes.set(name, Math.max(sizes.get(name) ?? 0, start + count));
  }
  const out = new Map([...sizes].map(([name, size]) => [name, new Float32Array(size)]));
  for (const [published, pieces] of places) {
    const { values } = tensors.f32(prefix + published);
    let from = 0;
    for (const { name, start, count } of pieces) out.get(name)!.set(values.subarray(from, from += count), start);
  }
  return out;
}

/** The largest relative l2 error of the tensors recorded under `prefix`, or null when there are none. */
function worstTensor(golden: Golden, prefix: string, read: (name: string) => Float32Array, least: number) {
  const published = golden.tensors.names(prefix);
  if (published.length === 0) return null;
  let worst = 0;
  for (const key of published) {
    const want = golden.tensors.f32(prefix + key).values;
    const got = collect(golden, key, want.length, read);
    const norm = l2(want.length, (i) => want[i]!);
    if (norm > least) worst = Math.max(worst, l2(want.length, (i) => want[i]! - got[i]!) / norm);
  }
  return worst;
}

/** The parts of a published tensor put together from ours. */
function collect(
  golden: Golden,
  published: string,
  length: number,
  read: (name: string) => Float32Array,
): Float32Array {
  const places = golden.places.get(published);
  if (!places) throw new RangeError(`Cannot compare "${published}": it has no place in the model`);
  const got = new Float32Array(length);
  let from = 0;
  for (const { name, start, count } of places) {
    got.set(read(name).subarray(start, start + count), from);
    from += count;
  }
  return got;
}

/** The largest error of a tensor's length, relative to it, or of its mean, relative to the root of its mean square. */
function worstSummary(golden: Golden, read: (name: string) => Float32Array): number {
  let worst = 0;
  for (const [key, want] of Object.entries(golden.summary)) {
    const count = golden.tensors.shape(`init/${key}`).reduce((a, b) => a * b, 1);
    const got = collect(golden, key, count, read);
    const mean = got.reduce((sum, x) => sum + x, 0) / count;
    const length = l2(count, (i) => got[i]!);
    if (want.l2 === 0) worst = Math.max(worst, length);
    else {
      worst = Math.max(worst, Math.abs(length - want.l2) / want.l2);
      worst = Math.max(worst, Math.abs(mean - want.mean) * Math.sqrt(count) / want.l2);
    }
  }
  return worst;
}

function l2(length: number, at: (i: number) => number): number {
  let sum = 0;
  for (let i = 0; i < length; i++) sum += at(i) ** 2;
  return Math.sqrt(sum);
}

/** The bounds that a case breaks. A comparison with NaN is broken. */
export function broken(errors: Errors): string[] {
  return Object.entries(BOUNDS).filter(([key, bound]) => {
    return !(errors[key as keyof typeof BOUNDS] <= bound);
  }).map(([key]) => key);
}
