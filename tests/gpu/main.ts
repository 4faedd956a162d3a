/**
 * `deno task gpu`: everything that only a GPU can show, as one table below the card's name; exit code 1 when anything
 * is wrong. `--pack` makes a folder that does the same on a machine without Rust, Deno and network.
 */
import { Command, EnumType, ValidationError } from "@cliffy/command";
import { join, resolve } from "@std/path";
import { messageOf } from "../../cli/errors.ts";
import { buildLibrary } from "../../kernels/build.ts";
import { buildCuda } from "../../kernels/cuda.ts";
import { exists } from "../../kernels/objects.ts";
import { provideToolchain } from "../../kernels/toolchain.ts";
import { Card } from "./card.ts";
import { checkGolden } from "./golden.ts";
import type { Options } from "./options.ts";
import { buildOps, GOLDEN, pack } from "./pack.ts";
import { checkOps, checkSanitizer } from "./programs.ts";
import { judged, render, type Row } from "./report.ts";
import { timeModels, timeProducts } from "./speed.ts";

const CHECKS: Readonly<Record<string, (options: Options) => Row[] | Promise<Row[]>>> = {
  "ops": checkOps,
  "compute-sanitizer": checkSanitizer,
  "golden losses": checkGolden,
  "products": timeProducts,
  "models": timeModels,
};
const KERNELS = { "cuda": "libbowline_cuda.so", "cuda-emulated": "libbowline_cuda_emulated.so" } as const;

await new Command()
  .name("gpu")
  .description("Check and measure the kernels on a GPU, and print one table.")
  .type("device", new EnumType(["cuda", "cuda-emulated"] as const))
  .option("--device <device:device>", "Where to run.", { default: "cuda" as const })
  .option("--micro", "Small sizes of everything, for the emulator.")
  .option("--golden <dir:string>", "Folder of golden cases.")
  .option("--ops <file:string>", "The built program of the op tests; else cargo builds it.")
  .option("--pack <dir:string>", "Write a folder that runs this by its run.sh, and stop.")
  .example("On a machine with a GPU", "deno task gpu")
  .example("For one without Rust, Deno and network", "deno task gpu --pack dist/gpu\n# there: dist/gpu/run.sh")
  .example("Without a GPU", "deno task gpu --device cuda-emulated --micro")
  .action(async ({ device, micro, golden, ops, pack: target }) => {
    try {
      const library = await provideLibrary(device);
      const folder = golden === undefined ? exists(GOLDEN) ? GOLDEN : null : resolve(golden);
      if (target !== undefined) return console.log(await pack(resolve(target), { library, golden: folder }));
      Deno.env.set("BOWLINE_KERNELS", library);
      const program = ops === undefined ? await buildOps() : resolve(ops);
      const options: Options = { device, library, isMicro: micro ?? false, golden: folder, ops: program };
      const title = nameOf(library);
      const rows: Row[] = [];
      for (const [name, check] of Object.entries(CHECKS)) rows.push(...await run(name, check, options));
      console.log(render(title, rows));
      Deno.exit(rows.some(({ verdict }) => verdict === "WRONG") ? 1 : 0);
    } catch (error) {
      console.error(`error: ${messageOf(error)}`);
      Deno.exit(error instanceof ValidationError || error instanceof RangeError ? 2 : 1);
    }
  })
  .parse(Deno.args);

/** One check; that it cannot be made is a difference, too, and the others are made all the same. */
async function run(
  name: string,
  check: (options: Options) => Row[] | Promise<Row[]>,
  options: Options,
): Promise<Row[]> {
  console.error(`check ${name}`);
  try {
    return await check(options);
  } catch (error) {
    return [judged(name, messageOf(error), false)];
  }
}

/** The kernel library: made of a checkout's sources, or the one that a packed folder carries. */
async function provideLibrary(device: keyof typeof KERNELS): Promise<string> {
  const named = Deno.env.get("BOWLINE_KERNELS");
  if (named) return resolve(named);
  const root = new URL("../../", import.meta.url).pathname;
  const library = join(root, "kernels", "build", KERNELS[device]);
  if (exists(library) && !exists(join(root, ".git"))) return library;
  return device === "cuda" ? (await buildCuda(await provideToolchain())).library : await buildLibrary("emulated");
}

function nameOf(library: string): string {
  using card = new Card(library);
  const { name, total } = card.info();
  return `${name}, ${(total / 1e9).toFixed(1)} GB`;
}
