/** Numbers of a running call: a shared block that the core writes and that may be read at any moment. */

/** Names of the numbers in the block, in the order of the core; the rest of the 32 is reserved. */
export const STAT_NAMES = [
  "step",
  "loss",
  "lmLoss",
  "balance",
  "z",
  "gradNorm",
  "lrMuon",
  "lrAdamw",
  "tokens",
  "stepSeconds",
  "progress",
  "forwardSeconds",
  "backwardSeconds",
  "optimizerSeconds",
  "evalLoss",
  "evalTokens",
  "evalBitsPerByte",
  "routingEntropy",
  "maxExpertShare",
  "deadExpertShare",
  "maxLogit",
  "agreement",
  "setAgreement",
  "epochs",
  "imbalance",
] as const;

const LENGTH = 32;

/** Name of a number in the block. */
export type StatName = typeof STAT_NAMES[number];

/** The numbers at one moment, as a plain object. */
export type StatValues = Readonly<Record<StatName, number>>;

/** The block: 32 doubles in shared memory. */
export class Stats {
  readonly #values: Float64Array<SharedArrayBuffer> = new Float64Array(new SharedArrayBuffer(LENGTH * 8));

  /** The block as the core takes it. A view over shared memory needs this cast: Deno's types know only views that are not. */
  get block(): Float64Array<ArrayBuffer> {
    return this.#values as unknown as Float64Array<ArrayBuffer>;
  }

  /** One number, as it is now. */
  read(name: StatName): number {
    return this.#values[STAT_NAMES.indexOf(name)]!;
  }

  /** All numbers, as they are now. */
  snapshot(): StatValues {
    return Object.fromEntries(STAT_NAMES.map((name, i) => [name, this.#values[i]])) as StatValues;
  }
}
