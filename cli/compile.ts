/**
 * `deno task compile`: one executable with the program, its packages, the core and the kernel library for GPUs where
 * that is built, in dist/; `--emulated` adds the one of the emulated GPU, `--output` names the file. The corpora are
 * not inside: the core reads files, and these would not be files.
 */
import { Command } from "@cliffy/command";
import { basename, join } from "@std/path";
import { libraryCandidates } from "../ffi/ts/library.ts";
import { exists } from "../kernels/objects.ts";
import { CARRIED, list, LISTING } from "./carried.ts";

await new Command()
  .name("compile")
  .description("Make one executable of the program, its packages and its native libraries.")
  .option("--output <file:string>", "The executable.", { default: join("dist", "bowline") })
  .option("--emulated", "Carry the kernels of the emulated GPU, too.")
  .action(async ({ output, emulated }) => {
    const core = libraryCandidates().find(exists);
    if (core === undefined) throw new Error('Cannot compile: the core is not built, run "deno task build"');
    const build = new URL("../kernels/build/", import.meta.url).pathname;
    const kernels = ["libbowline_cuda.so", ...(emulated ? ["libbowline_cuda_emulated.so"] : [])];
    carry([core, ...kernels.map((name) => join(build, name)).filter(exists)]);
    const { success } = await new Deno.Command(Deno.execPath(), {
      args: [
        "compile",
        "--no-prompt",
        "--node-modules-dir=none", // else all of node_modules goes in, with the corpora and what only tests use
        "--exclude-unused-npm",
        "--allow-read",
        "--allow-write",
        "--allow-env",
        "--allow-sys",
        "--allow-ffi",
        "--allow-run", // of git and of itself, whose path is not known yet
        `--include=${CARRIED}`,
        `--output=${output}`,
        "cli/main.ts",
      ],
    }).spawn().status;
    if (!success) Deno.exit(1);
  })
  .parse(Deno.args);

/** Lays the libraries where the executable will look for them. */
function carry(paths: readonly string[]): void {
  const libraries = new Map(paths.map((path) => [basename(path), Deno.readFileSync(path)]));
  Deno.mkdirSync(CARRIED, { recursive: true });
  for (const { name } of [...Deno.readDirSync(CARRIED)]) Deno.removeSync(join(CARRIED, name));
  for (const [name, bytes] of libraries) Deno.writeFileSync(join(CARRIED, name), bytes);
  Deno.writeTextFileSync(join(CARRIED, LISTING), JSON.stringify(list(libraries)));
}
