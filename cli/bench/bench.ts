/** Measures cases one after the other. */
import { probe } from "../../ffi/ts/library.ts";
import type { DeviceFlags } from "../device.ts";
import type { BenchCase } from "./cases.ts";
import { runApart } from "./child.ts";
import { timeBatches, timeOps, timeStream } from "./native.ts";
import type { BenchReport, CaseReport, OpReport, Probe } from "./report.ts";

/** How to measure. On a device that is named, only steps can be measured. */
export interface BenchOptions extends DeviceFlags {
  /** Time for each case; each has a least number of steps besides. */
  readonly seconds: number;
  /** Told of every case before it runs. */
  readonly onCase?: (name: string) => void;
  /** Told of every case that failed; the others go on. */
  readonly onFailure: (error: unknown) => void;
}

/** Measures the probe and the cases. A case that fails has no row. */
export async function bench(cases: readonly BenchCase[], options: BenchOptions): Promise<BenchReport> {
  let speed = await measureProbe();
  const rows: CaseReport[] = [];
  const ops: Omit<OpReport, "share">[] = [];
  for (const one of cases) {
    options.onCase?.(one.name);
    try {
      if (one.kind === "ops") ops.push(...await timeOps());
      else rows.push(...await measure(one, options));
    } catch (error) {
      options.onFailure(error);
    }
    speed = faster(speed, await measureProbe());
  }
  const withShare = <Row extends { gflops: number | null }>(row: Row) => ({
    ...row,
    // The probe is of the CPU.
    share: row.gflops === null || options.device !== undefined ? null : row.gflops / speed.all_gflops,
  });
  return { probe: speed, cases: rows.map(withShare), ops: ops.map(withShare) };
}

/** Calls of the probe at a time. */
const PROBES = 10;

/**
 * The fastest of some calls: a core that another program holds for the few milliseconds of a call would halve the probe
 * of two threads, and so double every share.
 */
async function measureProbe(): Promise<Probe> {
  let speed: Probe = { "one_gflops": 0, "all_gflops": 0 };
  for (let i = 0; i < PROBES; i++) {
    speed = faster(speed, { "one_gflops": await probe(1), "all_gflops": await probe(0) });
  }
  return speed;
}

function faster(a: Probe, b: Probe): Probe {
  return {
    "one_gflops": Math.max(a.one_gflops, b.one_gflops),
    "all_gflops": Math.max(a.all_gflops, b.all_gflops),
  };
}

/** Runs the parts of a case around a folder of its own. */
async function measure(
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
