/**
 * Compares this program with the golden cases of a folder, step by step, and prints a table; exit code 1 when one is
 * out of bounds.
 *
 *     deno task parity [--dir DIR] [--case NAME] [--device DEVICE] [--precision PRECISION]
 */
import { Command } from "@cliffy/command";
import { resolve } from "@std/path";
import Table from "cli-table3";
import { DEVICE, type DeviceFlags, deviceType, PRECISION, precisionType } from "../../cli/device.ts";
import { broken, type Errors, MEDIAN_BOUNDS, runCase } from "./compare.ts";
import { readGolden } from "./golden.ts";

/** Stems of the pairs of files in a folder, in order of name. */
async function stems(dir: string): Promise<string[]> {
  const files = await Array.fromAsync(Deno.readDir(dir), (entry) => entry.name);
  const pairs = files.filter((name) => name.endsWith(".json") && files.includes(name.replace(".json", ".safetensors")));
  return pairs.sort().map((name) => `${dir}/${name.slice(0, -".json".length)}`);
}

function median(values: readonly number[]): number {
  const sorted = values.toSorted((a, b) => a - b);
  return (sorted[(sorted.length - 1) >> 1]! + sorted[sorted.length >> 1]!) / 2;
}

/** What to compare. */
export interface ParityOptions extends DeviceFlags {
  /** Only this case. */
  readonly case?: string | undefined;
}

/** Runs a folder; returns whether everything is within bounds. */
export async function parity(
  dir: string,
  print: (line: string) => void,
  options: ParityOptions = {},
): Promise<boolean> {
  const names = (await stems(dir)).filter((stem) => options.case === undefined || stem.endsWith(`/${options.case}`));
  if (names.length === 0) {
    throw new RangeError(`Cannot compare: "${dir}" has no pair ${options.case ?? "NAME"}.json and .safetensors`);
  }
  const results: Errors[] = [];
  for (const stem of names) results.push(await runCase(await readGolden(stem), options));
  const table = new Table({
    head: ["case", "loss at 0", "gradient at 0", "worst loss", "gradient norm", "final weights", "verdict"],
    style: { head: [], border: [] },
  });
  const text = (error: number) => error.toExponential(1);
  for (const r of results) {
    const faults = broken(r);
    const verdict = faults.length === 0 ? "ok" : `out of bounds: ${faults.join(", ")}`;
    table.push([r.name, ...[r.firstLoss, r.gradient, r.loss, r.gradNorm, r.weights].map(text), verdict]);
  }
  print(table.toString());
  const isWithin = results.every((r) => broken(r).length === 0);
  if (options.case !== undefined) return isWithin; // a median is of a folder
  const loss = median(results.map((r) => r.loss));
  const weights = median(results.map((r) => r.weights));
  print(
    `median of the worst losses ${text(loss)} (at most ${MEDIAN_BOUNDS.loss}), of the final weights ${
      text(weights)
    } (at most ${MEDIAN_BOUNDS.weights})`,
  );
  return isWithin && loss <= MEDIAN_BOUNDS.loss && weights <= MEDIAN_BOUNDS.weights;
}

if (import.meta.main) {
  await new Command()
    .name("parity")
    .description("Compare with the golden cases of a folder.")
    .option("--dir <dir:string>", "Folder with pairs NAME.json and NAME.safetensors.", {
      default: "../shared/golden/arch",
    })
    .type("device", deviceType)
    .type("precision", precisionType)
    .option("--case <name:string>", "Only this case.")
    .option(...DEVICE)
    .option(...PRECISION)
    .action(async ({ dir, ...options }) => {
      if (!await parity(resolve(dir), console.log, options)) Deno.exit(1);
    })
    .parse(Deno.args);
}
