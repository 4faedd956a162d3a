/**
 * The main experiments of the Expert Tying study (arXiv 2606.16825): three architectures at three scales, untied
 * (`olmoe-tiny`), and each in the six published ways of tying and widening (`olmoe-tiny-g4-w2x`).
 */
import type { Family, ManifestInput } from "./manifest.ts";
import { PUBLISHED_DATA } from "./mixtures.ts";

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

/** The published families of the main experiments, by scale. */
const sizes: Record<Exclude<Family, "vanilla" | "mixtral">, Record<string, Size>> = {
  "olmoe": olmoe,
  "qwen3": qwen3,
  "deepseek-style": deepseek,
};

/** Published steps. None is published for small: it gets those of tiny. */
const STEPS: Record<string, number> = { regular: 30_000, small: 20_000, tiny: 20_000 };

/**
 * The published step is 256 windows of 2048 tokens; how it is split is not. Micro-steps of 8 windows keep the saved
 * activations of a large model small, and the split changes nothing but rounding. The vocabulary is cl100k_base's.
 */
function experiment(family: Family, scale: string, size: Size): ManifestInput {
  return {
    name: `${family}-${scale}`,
    model: { family, vocab: 100_277, ...size },
    tie: { groupSize: 1, skipFirst: 2, skipLast: 2 },
    train: { steps: STEPS[scale]!, batch: 8, accumulation: 32, seqLen: 2048, warmupSteps: 100, tiedLrDivisor: "sqrt" },
    data: PUBLISHED_DATA,
  };
}

/** The nine untied experiments, named `<arch>-<scale>`. */
export const architectures: readonly ManifestInput[] = Object.entries(sizes).flatMap(([family, scales]) =>
  Object.entries(scales).map(([scale, size]) => experiment(family as Family, scale, size))
);

/** Ties and widths by suffix: g consecutive middle sites share a bank of so many times E experts. */
export const TIES: Readonly<Record<string, { groupSize: number; widen: number }>> = {
  "g1": { groupSize: 1, widen: 1 },
  "g2": { groupSize: 2, widen: 1 },
  "g4": { groupSize: 4, widen: 1 },
  "g4-w2x": { groupSize: 4, widen: 2 },
  "g4-w4x": { groupSize: 4, widen: 4 },
  // As many parameters as g4, by narrower banks in place of shared ones.
  "g1-narrow": { groupSize: 1, widen: 1 / 4 },
};

/** The 54 published configurations, named `<arch>-<scale>-<tie>`. */
export const mainExperiments: readonly ManifestInput[] = architectures.flatMap((untied) =>
  Object.entries(TIES).map(([suffix, { groupSize, widen }]) => ({
    ...untied,
    name: `${untied.name}-${suffix}`,
    tie: { ...untied.tie, groupSize, expand: widen === 1 ? null : untied.model.experts * widen },
  }))
);
