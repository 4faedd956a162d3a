/** The place of this process among those that a launcher started to train together. */
import { core, readJson } from "./library.ts";

/** Its place, as its environment says. */
export interface Place {
  /** Its number. */
  readonly rank: number;
  /** Number of processes. */
  readonly world: number;
  /** Its number on its machine. */
  readonly localRank: number;
  /** What started them. */
  readonly launcher: "none" | "torchrun" | "open-mpi" | "pmi" | "slurm";
}

/** The place that a trainer took. */
export interface Ranks {
  /** Its number. */
  readonly rank: number;
  /** Number of processes. */
  readonly world: number;
  /** What connects them. */
  readonly engine: "single" | "mpi" | "nccl";
}

/** Where this process stands: alone, unless a launcher's variables say otherwise. */
export function place(): Place {
  return readJson((out, status) => core().bowline_place(out, out.length, status));
}
