/**
 * The published program that trains such models, measured by itself: its best step on two cores of a 2-core server, whose
 * probe lies between 130 and 190 GFLOP/s. Other machines are compared by scaling with the probe.
 */
import type { BenchReport } from "./report.ts";

/** Tokens per second of its best steps. */
const TOKENS_PER_SECOND: Readonly<Record<string, number>> = { "nano": 2392, "olmoe-tiny-g4": 31.7 };

/** The probe for which targets are given, in GFLOP/s: of that machine, a little below the middle. */
export const PROBE_OF_TARGETS = 150;

/** A case beside the reference. */
export interface Comparison {
  /** Case that both ran. */
  readonly name: string;
  /** Tokens per second that the reference would reach on this machine. */
  readonly scaled: number;
  /** Ours by that. */
  readonly ratio: number;
}

/** The cases that the reference ran too. */
export function compare({ probe, cases }: BenchReport): Comparison[] {
  return cases.flatMap(({ name, tokens_per_s: ours }) => {
    const reference = TOKENS_PER_SECOND[name];
    if (reference === undefined || ours === null) return [];
    const scaled = reference * probe.all_gflops / PROBE_OF_TARGETS;
    return [{ name, scaled, ratio: ours / scaled }];
  });
}

/** How the comparison was made, for people. */
export const footnote =
  `reference: its best tokens/s (${
    Object.entries(TOKENS_PER_SECOND).map(([name, speed]) => `${name} ${speed}`).join(", ")
  }) on a 2-core machine whose probe is 130 to 190 GFLOP/s,\n` +
  `scaled by this machine's probe over ${PROBE_OF_TARGETS}. Ours is the median step.`;
