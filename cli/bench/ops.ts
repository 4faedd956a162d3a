/** Single operations, timed by criterion in the native benchmark; what it found stands in its files. */
import { join } from "@std/path";
import { runSpeed } from "./native.ts";
import type { OpReport } from "./report.ts";

/** Criterion's `benchmark.json`: what was timed. */
interface Benchmark {
  readonly "group_id": string;
  readonly "function_id": string;
  readonly "value_str": string;
  /** Work of one call. */
  readonly throughput: { readonly Elements: number } | { readonly Bytes: number };
}

/** Criterion's `estimates.json`, in nanoseconds. */
interface Estimates {
  readonly median: { readonly "point_estimate": number };
}

/** Times every operation at the sizes of a model; shares are left to who knows the probe. */
export async function timeOps(model: string): Promise<Omit<OpReport, "share">[]> {
  const folder = await Deno.makeTempDir({ prefix: "bowline-bench-" });
  try {
    await runSpeed(["ops", model], { "CRITERION_HOME": folder });
    return await readCriterion(folder);
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
}

/** The operations below a folder of criterion's, by name and shape. */
export async function readCriterion(folder: string): Promise<Omit<OpReport, "share">[]> {
  const rows = (await readFolder(folder)).toSorted((a, b) => compare(`${a.op} ${a.shape}`, `${b.op} ${b.shape}`));
  if (rows.length > 0) return rows;
  throw new Error(`Cannot report operations: ${folder} has none that were timed`);
}

async function readFolder(folder: string): Promise<Omit<OpReport, "share">[]> {
  const rows: Omit<OpReport, "share">[] = [];
  for await (const { name, isDirectory } of Deno.readDir(folder)) {
    if (!isDirectory) continue;
    const path = join(folder, name);
    rows.push(...(name === "new" ? [await readOne(path)] : await readFolder(path)));
  }
  return rows;
}

async function readOne(folder: string): Promise<Omit<OpReport, "share">> {
  const benchmark: Benchmark = JSON.parse(await Deno.readTextFile(join(folder, "benchmark.json")));
  const { median }: Estimates = JSON.parse(await Deno.readTextFile(join(folder, "estimates.json")));
  const { group_id: model, function_id: op, value_str: shape, throughput } = benchmark;
  const ns = median.point_estimate;
  return {
    op,
    model,
    shape,
    ms: ns / 1e6,
    gflops: "Elements" in throughput ? throughput.Elements / ns : null,
    "gb_per_s": "Bytes" in throughput ? throughput.Bytes / ns : null,
  };
}

function compare(a: string, b: string): number {
  return a < b ? -1 : Number(a > b);
}
