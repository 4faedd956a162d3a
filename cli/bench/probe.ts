/** The machine's multiply-add units, timed between the cases. */
import { probe } from "../../ffi/ts/library.ts";
import { median, type Probe } from "./report.ts";

/** Calls of the probe at a time. */
const CALLS = 10;

/**
 * The fastest of some calls: a core that another program holds for the few milliseconds of a call would halve the probe
 * of two threads, and so double every share.
 */
export async function measureProbe(): Promise<Probe> {
  const speeds: Probe[] = [];
  for (let i = 0; i < CALLS; i++) speeds.push({ "one_gflops": await probe(1), "all_gflops": await probe(0) });
  return over(speeds, (values) => Math.max(...values));
}

/** The middle one of several: the machine as the cases found it, which are medians, too. */
export function middleProbe(probes: readonly Probe[]): Probe {
  return over(probes, median);
}

function over(probes: readonly Probe[], choose: (values: number[]) => number): Probe {
  return {
    "one_gflops": choose(probes.map((one) => one.one_gflops)),
    "all_gflops": choose(probes.map((one) => one.all_gflops)),
  };
}
