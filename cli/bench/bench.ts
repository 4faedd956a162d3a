/** Measures cases one after the other. */
import { probe } from "../../ffi/ts/library.ts";
import type { BenchCase } from "./cases.ts";
import { runApart } from "./child.ts";
import { timeBatches, timeOps } from "./native.ts";
import type { BenchReport, CaseReport, OpReport, Probe } from "./report.ts";

/** How to measure. */
export interface BenchOptions {
  /** Time for each case; each has a least number of steps besides. */
  readonly seconds: number;
  /** Told of every case before it runs. */
  readonly onCase?: (name: string) => void;
  /** Told of every case that failed; the others go on. */
  readonly onFailure: (error: unknown) => void;
}

/** Measures the probe and the cases. A case that fails has no row. */
export async function bench(cases: readonly BenchCase[], options: BenchOptions): Promise<BenchReport> {
  const speed: Probe = { "one_gflops": await probe(1), "all_gflops": await probe(0) };
  const rows: CaseReport[] = [];
  const ops: OpReport[] = [];
  for (const one of cases) {
    options.onCase?.(one.name);
    try {
      if (one.kind === "ops") ops.push(...await timeOps(speed.all_gflops));
      else rows.push(...await measure(one, options.seconds));
    } catch (error) {
      options.onFailure(error);
    }
  }
  const share = (gflops: number | null) => gflops === null ? null : gflops / speed.all_gflops;
  return { probe: speed, cases: rows.map((row) => ({ ...row, share: share(row.gflops) })), ops };
}

/** Runs the parts of a case around a folder of its own. */
async function measure(one: Exclude<BenchCase, { kind: "ops" }>, seconds: number): Promise<CaseReport[]> {
  const folder = await Deno.makeTempDir({ prefix: "bowline-bench-" });
  try {
    const task = { case: one, folder, seconds };
    if (one.kind === "generate") await runApart({ ...task, part: "prepare" });
    const rows = await runApart({ ...task, part: "measure" });
    return one.kind === "loader" ? [...rows, ...await timeBatches(one, folder, seconds)] : rows;
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
}
