/** Losses on the device against those of the published trainer. */
import { BOUNDS, broken, type Errors, runCase } from "../parity/compare.ts";
import { readGolden } from "../parity/golden.ts";
import { type Options, type Precision, PRECISIONS } from "./options.ts";
import { judged, type Row } from "./report.ts";

/** In bf16 a factor of a product is off by up to 2^-9 of itself: losses stay within this of those in f32. */
const BF16_LOSS = 1e-2;

/** Every case in each precision: the worst of all. */
export async function checkGolden({ golden, device, isMicro }: Options): Promise<Row[]> {
  if (golden === null) return [{ check: "golden losses", is: "no folder was named (--golden)", verdict: "skipped" }];
  const names = await Array.fromAsync(Deno.readDir(golden), ({ name }) => name);
  const stems = names.filter((name) => name.endsWith(".safetensors")).map((name) => name.replace(/\.safetensors$/, ""));
  if (stems.length === 0) return [judged("golden losses", `there are no cases in ${golden}`, false)];
  const rows: Row[] = [];
  for (const precision of PRECISIONS) {
    const results: Errors[] = [];
    for (const stem of isMicro ? stems.filter((stem) => stem === "olmoe-g4") : stems.sort()) {
      console.error(`golden ${stem}, ${precision}`);
      results.push(await runCase(await readGolden(`${golden}/${stem}`), { device, precision }));
    }
    const faults = results.flatMap((result) => faultsOf(result, precision).map((fault) => `${result.name}: ${fault}`));
    const worst = Math.max(...results.map(({ loss }) => loss));
    const is = `${results.length} ${results.length === 1 ? "case" : "cases"}, losses off by at most ${
      worst.toExponential(1)
    }, wanted ${bound(precision)}`;
    rows.push(
      judged(`golden losses, ${precision}`, [is, ...faults].join("\n"), results.length > 0 && faults.length === 0),
    );
  }
  return rows;
}

function bound(precision: Precision): number {
  return precision === "f32" ? BOUNDS.loss : BF16_LOSS;
}

function faultsOf(result: Errors, precision: Precision): string[] {
  if (precision === "f32") return broken(result);
  return result.loss <= BF16_LOSS ? [] : ["loss"];
}
