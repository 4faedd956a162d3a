/**
 * Published results, as printed in Expert Tying (arXiv 2606.16825): the component ablation at effective depth 32, and
 * the main experiments of about 10.5 billion tokens (tiny) and 15.7 billion tokens (regular). A re-run of the ablation
 * moves a loss by less than 0.005.
 */
import type { Published } from "./entry.ts";

/** Where the numbers are from. */
export const REFERENCE = "Expert Tying, arXiv 2606.16825";

/** Losses of the ablation by granularity and variant. */
export const ABLATION: Readonly<Record<"fine" | "coarse", Readonly<Record<string, number>>>> = {
  fine: {
    baseline_32: 3.432,
    moeut_32_alltie: 3.650,
    moeut_32_attntie: 3.653,
    onegroup_32_alltie: 3.553,
    onegroup_32_attntie: 3.548,
    onegroup_32_experttie: 3.490,
    twogroup_32_alltie: 3.511,
    twogroup_32_attntie: 3.512,
    twogroup_32_experttie: 3.469,
    threegroup_32_alltie: 3.481,
    threegroup_32_attntie: 3.481,
    threegroup_32_experttie: 3.451,
    fourgroups1_32_alltie: 3.525,
    fourgroups1_32_attntie: 3.516,
    fourgroups1_32_experttie: 3.470,
    sevengroups1_32_alltie: 3.485,
    sevengroups1_32_attntie: 3.485,
    sevengroups1_32_experttie: 3.454,
  },
  coarse: {
    baseline_32: 3.481,
    moeut_32_alltie: 3.663,
    moeut_32_attntie: 3.664,
    twogroup_32_experttie: 3.489,
    fourgroups1_32_alltie: 3.559,
    fourgroups1_32_attntie: 3.546,
    fourgroups1_32_experttie: 3.489,
    sevengroups1_32_experttie: 3.475,
  },
};

/** Loss of the dense model without tying. */
export const DENSE = 3.560;

/** Means over the three modes of `fourgroups1`, fine, by divisor. */
export const DIVISORS = { sqrt: 3.503, linear: 3.506, none: 3.542 } as const;

/** About how often two sites of a group agree on the top-1 expert, by mode. */
export const AGREEMENT = { alltie: 0.75, experttie: 0.1 } as const;

/** Results at the tiny scale by architecture and variant. */
const TINY: Readonly<Record<string, Readonly<Record<string, Published>>>> = {
  "olmoe": {
    "g1": { parameters: 523e6, loss: 3.119, accuracy: 41.9 },
    "g2": { parameters: 372e6, loss: 3.136, accuracy: 42.1 },
    "g4": { parameters: 296e6, loss: 3.171, accuracy: 40.8 },
    "g4-w2x": { parameters: 372e6, loss: 3.132, accuracy: 41.5 },
    "g4-w4x": { parameters: 523e6, loss: 3.089, accuracy: 42.1 },
  },
  "qwen3": {
    "g1": { parameters: 459e6, loss: 3.171, accuracy: 41.7 },
    "g2": { parameters: 300e6, loss: 3.201, accuracy: 40.6 },
    "g4": { parameters: 220e6, loss: 3.238, accuracy: 39.8 },
    "g4-w2x": { parameters: 300e6, loss: 3.192, accuracy: 40.4 },
    "g4-w4x": { parameters: 459e6, loss: 3.142, accuracy: 41.6 },
  },
  "deepseek-style": {
    "g1": { parameters: 523e6, loss: 3.132, accuracy: 41.5 },
    "g2": { parameters: 372e6, loss: 3.149, accuracy: 41.2 },
    "g4": { parameters: 296e6, loss: 3.180, accuracy: 41.0 },
    "g4-w2x": { parameters: 372e6, loss: 3.143, accuracy: 40.9 },
    "g4-w4x": { parameters: 523e6, loss: 3.105, accuracy: 41.9 },
  },
};

/** Results of OLMoE-1B-7B, the only one published at the regular scale. */
const REGULAR: Readonly<Record<string, Readonly<Record<string, Published>>>> = {
  "olmoe": {
    "g1": { parameters: 7.12e9, loss: 2.820, accuracy: 47.4 },
    "g4": { parameters: 3.50e9, loss: 2.825, accuracy: 47.5 },
    "g4-w2x": { parameters: 4.71e9, loss: 2.812, accuracy: 48.2 },
  },
};

/** Results of the main experiments by scale, architecture and variant. */
export const MAIN: Readonly<Record<string, typeof TINY>> = { tiny: TINY, regular: REGULAR };
