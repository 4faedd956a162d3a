/** What a benchmark tells: the shape of `--json`. Null where a case has no such number. */

/** One row: a case, or a part of one. Numbers are medians over rounds, times those of the medians of each. */
export interface CaseReport {
  /** Name of the row. */
  readonly name: string;
  /** Tokens trained on, read or written per second. */
  readonly "tokens_per_s": number | null;
  /** A whole step. */
  readonly "step_ms": number | null;
  /** The sites' forward pass. */
  readonly "forward_ms": number | null;
  /** Head, loss and the backward pass. */
  readonly "backward_ms": number | null;
  /** Norm of the gradient, clipping and update. */
  readonly "optimizer_ms": number | null;
  /** The plan's nominal FLOPs of a step (`countFlops`), none of them twice, by the time of one, in 10^9 per second. */
  readonly gflops: number | null;
  /** `gflops` by the probe of all threads. */
  readonly share: number | null;
  /** Largest memory of the processes that ran nothing but this case, in 10^6 bytes. */
  readonly "peak_mb": number | null;
}

/** One operation of the core at the sizes of a model; a row has GFLOP/s or GB/s, by what bounds the operation. */
export interface OpReport {
  /** Operation, as in the op list. */
  readonly op: string;
  /** Model whose sizes these are. */
  readonly model: string;
  /** The sizes. */
  readonly shape: string;
  /** Median over rounds of the median call. */
  readonly ms: number;
  /** 10^9 nominal floating-point operations per second. */
  readonly gflops: number | null;
  /** 10^9 bytes per second, each operand counted once. */
  readonly "gb_per_s": number | null;
  /** `gflops` by the probe of all threads. */
  readonly share: number | null;
}

/** Speed of the multiply-add units, in 10^9 floating-point operations per second: medians, measured between cases. */
export interface Probe {
  /** One thread. */
  readonly "one_gflops": number;
  /** All threads. */
  readonly "all_gflops": number;
}

/** Everything that `--json` prints. */
export interface BenchReport {
  /** The machine. */
  readonly probe: Probe;
  /** The cases that were asked for. */
  readonly cases: readonly CaseReport[];
  /** The operations; empty unless asked for. */
  readonly ops: readonly OpReport[];
}

/** A row in which only the given numbers are known. */
export function row(name: string, known: Partial<CaseReport>): CaseReport {
  return {
    name,
    "tokens_per_s": null,
    "step_ms": null,
    "forward_ms": null,
    "backward_ms": null,
    "optimizer_ms": null,
    gflops: null,
    share: null,
    "peak_mb": null,
    ...known,
  };
}

/** The middle value; the mean of the two middle ones of an even number. */
export function median(values: readonly number[]): number {
  const sorted = values.toSorted((a, b) => a - b);
  const middle = sorted.length >> 1;
  return sorted.length % 2 === 1 ? sorted[middle]! : (sorted[middle - 1]! + sorted[middle]!) / 2;
}

/** One row of the same row in several rounds: the median of each number, but the largest memory of all. */
export function middleRow<Row extends object>(rows: readonly Row[]): Row {
  const entries = Object.entries(rows[0]!).map(([key, first]) => {
    if (typeof first !== "number") return [key, first];
    const values = rows.map((row) => (row as Record<string, number>)[key]!);
    return [key, key === "peak_mb" ? Math.max(...values) : median(values)];
  });
  return Object.fromEntries(entries) as Row;
}
