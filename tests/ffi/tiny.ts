/** The model of the tests of the border: small, tied, and the tokens it is shown. */
import { type ManifestInput, type Plan, plan } from "@bowline/bowline";

/** Windows of a batch, their length, and the vocabulary. */
export const B = 2;
export const S = 8;
export const V = 300;

/** Its manifest. */
export const tinyInput = {
  name: "tiny",
  model: { family: "olmoe", vocab: V, width: 16, layers: 4, heads: 2, experts: 4, topK: 2, expertWidth: 8 },
  tie: { groupSize: 2, skipFirst: 1, skipLast: 1 },
  train: { steps: 10, batch: B, seqLen: S, warmupSteps: 2 },
} satisfies ManifestInput;

/** Its plan. */
export function tiny(): Plan {
  return plan(tinyInput);
}

/** Tokens of so many steps. */
export function tokens(steps = 1): Int32Array<ArrayBuffer> {
  return Int32Array.from({ length: steps * B * (S + 1) }, (_, i) => (i * 7) % V);
}
