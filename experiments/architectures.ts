/**
 * The main experiments of the Expert Tying study (arXiv 2606.16825): three architectures at three scales, untied. Tie
 * them with `tie.groupSize` 2 or 4; widen tied banks with `tie.expand` 2E or 4E, narrow untied ones with E/4.
 */
import type { Family, ManifestInput } from "./manifest.ts";

type Size = Pick<
  ManifestInput["model"],
  "width" | "layers" | "heads" | "kvHeads" | "experts" | "topK" | "expertWidth"
>;

const olmoe: Record<string, Size> = {
  regular: { width: 2048, layers: 16, heads: 16, experts: 64, topK: 8, expertWidth: 1024 },
  small: { width: 1024, layers: 16, heads: 8, experts: 64, topK: 8, expertWidth: 512 },
  tiny: { width: 512, layers: 16, heads: 4, experts: 64, topK: 8, expertWidth: 256 },
};

const qwen3: Record<string, Size> = {
  regular: { width: 1536, layers: 28, heads: 24, kvHeads: 4, experts: 60, topK: 4, expertWidth: 768 },
  small: { width: 768, layers: 28, heads: 12, kvHeads: 2, experts: 60, topK: 4, expertWidth: 384 },
  tiny: { width: 384, layers: 28, heads: 6, kvHeads: 1, experts: 60, topK: 4, expertWidth: 192 },
};

const deepseek = Object.fromEntries(Object.entries(olmoe).map(([scale, size]) => [scale, { ...size, topK: 6 }]));

const sizes: Record<Family, Record<string, Size>> = { "olmoe": olmoe, "qwen3": qwen3, "deepseek-style": deepseek };

/** Published steps. None is published for small: it gets those of tiny. */
const STEPS: Record<string, number> = { regular: 30_000, small: 20_000, tiny: 20_000 };

/**
 * The published step is 256 windows of 2048 tokens; how it is split is not. Micro-steps of 8 windows keep the saved
 * activations of a large model small, and the split changes nothing but rounding. The vocabulary is cl100k_base's.
 * The published corpus is not part of the program: data is to be given.
 */
function experiment(family: Family, scale: string, size: Size): ManifestInput {
  return {
    name: `${family}-${scale}`,
    model: { family, vocab: 100_277, ...size },
    tie: { groupSize: 1, skipFirst: 2, skipLast: 2 },
    train: { steps: STEPS[scale]!, batch: 8, accumulation: 32, seqLen: 2048, warmupSteps: 100, tiedLrDivisor: "sqrt" },
  };
}

/** The nine untied experiments, named `<arch>-<scale>`. */
export const architectures: readonly ManifestInput[] = Object.entries(sizes).flatMap(([family, scales]) =>
  Object.entries(scales).map(([scale, size]) => experiment(family as Family, scale, size))
);
