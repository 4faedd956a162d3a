/**
 * Measures cases in rounds: each case once, each in a process of its own, then all of them again. So a minute in which
 * the machine is slow falls on one round of several cases and not on every step of one. Processes that stay alive and
 * step in turn would save the warm-up of each round, but hold the memory of all cases at once, and what one of them
 * leaves in the caches and in the allocator would be the next one's.
 */
import type { DeviceFlags } from "../device.ts";
import type { BenchCase } from "./cases.ts";
import { runApart } from "./child.ts";
import { timeBatches, timeStream } from "./native.ts";
import { timeOps } from "./ops.ts";
import { measureProbe, middleProbe } from "./probe.ts";
import { type BenchReport, type CaseReport, middleRow, type OpReport } from "./report.ts";

/** How to measure. On a device that is named, only steps can be measured. */
export interface BenchOptions extends DeviceFlags {
  /** Rounds, an odd number: then every median was measured. */
  readonly rounds: number;
  /** Time for each case in a round; each has a least number of steps besides. */
  readonly seconds: number;
  /** Told of every case before it runs. */
  readonly onCase?: (name: string, round: number) => void;
  /** Told of every case that failed; the others go on. */
  readonly onFailure: (error: unknown) => void;
}

/** Rows of one case in one round, before the probe is known. */
interface Rows {
  readonly cases: readonly CaseReport[];
  readonly ops: readonly Omit<OpReport, "share">[];
}

/** Measures the cases, and the probe between them. A case that fails in any round has no row. */
export async function bench(cases: readonly BenchCase[], options: BenchOptions): Promise<BenchReport> {
  const found = new Map<BenchCase, Rows[]>(cases.map((one) => [one, []]));
  const probes = [await measureProbe()];
  for (let round = 1; round <= options.rounds; round++) {
    for (const [one, rounds] of found) {
      options.onCase?.(one.name, round);
      try {
        rounds.push(await measure(one, options));
      } catch (error) {
        found.delete(one);
        options.onFailure(error);
      }
      probes.push(await measureProbe());
    }
  }
  const probe = middleProbe(probes);
  const withShare = <Row extends { gflops: number | null }>(row: Row) => ({
    ...row,
    // The probe is of the CPU.
    share: row.gflops === null || options.device !== undefined ? null : row.gflops / probe.all_gflops,
  });
  const middle = <Row extends object>(of: (rows: Rows) => readonly Row[]) =>
    [...found.values()].flatMap((rounds) =>
      of(rounds[0]!).map((_, i) => middleRow(rounds.map((rows) => of(rows)[i]!)))
    );
  return {
    probe,
    cases: middle((rows) => rows.cases).map(withShare),
    ops: middle((rows) => rows.ops).map(withShare),
  };
}

async function measure(one: BenchCase, options: BenchOptions): Promise<Rows> {
  if (one.kind === "ops") return { cases: [], ops: await timeOps(one.model) };
  return { cases: await measureCase(one, options), ops: [] };
}

/** Runs the parts of a case around a folder of its own. */
async function measureCase(
  one: Exclude<BenchCase, { kind: "ops" }>,
  { seconds, device, precision }: BenchOptions,
): Promise<CaseReport[]> {
  const folder = await Deno.makeTempDir({ prefix: "bowline-bench-" });
  try {
    const task = { case: one, folder, seconds, where: { device, precision } };
    if (one.kind === "stream" || one.kind === "generate") await runApart({ ...task, part: "prepare" });
    if (one.kind === "stream") return await timeStream(one, folder, seconds);
    const rows = await runApart({ ...task, part: "measure" });
    return one.kind === "loader" ? [...rows, ...await timeBatches(one, folder, seconds)] : rows;
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
}
