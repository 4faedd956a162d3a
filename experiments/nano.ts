/** The model of the quick start: small enough for two CPU cores and a few minutes, with all that a large one has. */
import type { ManifestInput } from "./manifest.ts";

/** 8 sites, of which the middle 4 share one bank of 16 experts. */
export const nano = {
  name: "nano",
  model: {
    family: "olmoe",
    vocab: 2048,
    width: 128,
    layers: 8,
    heads: 4,
    experts: 16,
    topK: 4,
    expertWidth: 96,
  },
  tie: { groupSize: 4, skipFirst: 2, skipLast: 2 },
  train: { steps: 500, batch: 16, seqLen: 128, warmupSteps: 50, tiedLrDivisor: "sqrt" },
  data: { corpus: "sotu", heldOut: { kind: "documents", every: 20, index: 7 } },
  checkpoint: { every: 100 },
  eval: { every: 100 },
} satisfies ManifestInput;

/** What `bowline train` runs when it is told nothing else. */
export const quickstart = { ...nano, name: "quickstart" } satisfies ManifestInput;
