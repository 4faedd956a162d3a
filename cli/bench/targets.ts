/** What the CPU is to reach, beside what it does. */
import { PROBE_OF_TARGETS } from "./reference.ts";
import type { BenchReport, CaseReport } from "./report.ts";

/** A number to reach. */
interface Target {
  /** Row of the report. */
  readonly name: string;
  /** Number of the row. */
  readonly of: Exclude<keyof CaseReport, "name">;
  /** Row whose number divides it. */
  readonly by?: string;
  /** What it is called. */
  readonly what: string;
  /** The least that is wanted; of `isMost`, the most. */
  readonly wanted: number;
  /** Whether less is better. */
  readonly isMost?: true;
  /** Whether a machine with a faster probe is to reach more. */
  readonly isScaled?: true;
}

const SCALED = `tokens/s, scaled from ${PROBE_OF_TARGETS} GFLOP/s`;

const TARGETS: readonly Target[] = [
  { name: "nano", of: "tokens_per_s", what: SCALED, wanted: 9600, isScaled: true },
  { name: "nano", of: "step_ms", by: "nano-untied", what: "step by that of nano-untied", wanted: 1, isMost: true },
  { name: "nano", of: "optimizer_ms", by: "nano-untied", what: "its optimizer by that", wanted: 1, isMost: true },
  { name: "olmoe-tiny-g4", of: "tokens_per_s", what: "tokens/s", wanted: 64 },
  { name: "olmoe-tiny-g4", of: "tokens_per_s", what: SCALED, wanted: 64, isScaled: true },
  { name: "olmoe-tiny-g4", of: "share", what: "share of the probe", wanted: 0.7 },
  { name: "olmoe-tiny-g4", of: "peak_mb", what: "peak memory, MB", wanted: 4200, isMost: true },
  { name: "stream-shards", of: "tokens_per_s", what: "tokens/s, one thread", wanted: 5e6 },
  { name: "stream-shards-resume", of: "step_ms", what: "going on, ms", wanted: 1000, isMost: true },
  { name: "stream-text-cl100k", of: "tokens_per_s", what: "tokens/s, one thread", wanted: 1e6 },
  { name: "stream-text-cl100k-resume", of: "step_ms", what: "going on, ms", wanted: 1000, isMost: true },
  { name: "generate", of: "tokens_per_s", what: "tokens/s, one thread", wanted: 2000 },
];

/** A target beside what was found. */
export interface Reached {
  /** Row of the report. */
  readonly name: string;
  /** The number's name. */
  readonly what: string;
  /** What is wanted of this machine. */
  readonly wanted: number;
  /** Whether less is better. */
  readonly isMost: boolean;
  /** What was measured; null if it was not. */
  readonly is: number | null;
  /** Whether that is enough. */
  readonly isReached: boolean;
}

/** Every target, also those whose case was not measured. */
export function reached({ probe, cases }: BenchReport): Reached[] {
  const find = (name: string, of: Target["of"]) => cases.find((row) => row.name === name)?.[of] ?? null;
  return TARGETS.map(({ name, of, by, what, wanted: atBase, isMost = false, isScaled = false }) => {
    const [own, other] = [find(name, of), by === undefined ? 1 : find(by, of)];
    const is = own === null || other === null ? null : own / other;
    const wanted = isScaled ? atBase * probe.all_gflops / PROBE_OF_TARGETS : atBase;
    return { name, what, wanted, isMost, is, isReached: is !== null && (isMost ? is <= wanted : is >= wanted) };
  });
}
