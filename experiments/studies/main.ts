/** The main experiments: every architecture, scale and way of tying, 54 runs. */
import type { StudyEntry } from "./entry.ts";
import { MAIN } from "./published.ts";

const SCALES = ["tiny", "small", "regular"] as const;
const ARCHITECTURES = ["olmoe", "qwen3", "deepseek-style"] as const;

/** Tie group sizes, with the tied banks widened (w2x, w4x), and the untied model with the middle banks narrowed. */
const VARIANTS = ["g1", "g2", "g4", "g4-w2x", "g4-w4x", "g1-narrow"] as const;

/** Smallest scale first; the untied model opens each group of six. */
export const main: readonly StudyEntry[] = SCALES.flatMap((scale) =>
  ARCHITECTURES.flatMap((architecture) =>
    VARIANTS.map((variant): StudyEntry => ({
      name: `${architecture}-${scale}-${variant}`,
      study: "main",
      section: scale,
      architecture,
      variant,
      divisor: "sqrt",
      baseline: `${architecture}-${scale}-g1`,
      published: MAIN[scale]?.[architecture]?.[variant] ?? null,
    }))
  )
);
