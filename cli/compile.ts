/**
 * `deno task compile`: one executable with the program, its packages and the core, in dist/. The core is unpacked to
 * the temporary folder at start. The corpora are not inside: the core reads files, and these would not be files.
 */
import { join } from "@std/path";
import { libraryCandidates } from "../ffi/ts/library.ts";

const library = libraryCandidates().find((path) => exists(path));
if (library === undefined) throw new Error('Cannot compile: the core is not built, run "deno task build"');

const { success } = await new Deno.Command(Deno.execPath(), {
  args: [
    "compile",
    "--bundle",
    "--minify",
    "--no-prompt",
    "--allow-read",
    "--allow-write",
    "--allow-env",
    "--allow-sys",
    "--allow-ffi",
    "--allow-run", // of git and of itself, whose path is not known yet
    `--include=${library}`,
    `--output=${join("dist", "bowline")}`,
    "cli/main.ts",
  ],
}).spawn().status;
if (!success) Deno.exitCode = 1;

function exists(path: string): boolean {
  try {
    return Deno.statSync(path).isFile;
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return false;
    throw error;
  }
}
