/** How this program is started once more, from source as well as compiled. */
import { join } from "@std/path";
import { ValidationError } from "@cliffy/command";

/** What training needs. A child is given no more, whatever its parent may do. */
const FLAGS = ["--no-prompt", "--allow-read", "--allow-write", "--allow-ffi", "--allow-env", "--allow-sys"];

/** The words of a command line that starts this program; its arguments may follow. */
export function thisProgram(): string[] {
  if (Deno.build.standalone) return [Deno.execPath()];
  return [Deno.execPath(), "run", "--quiet", ...FLAGS, "--allow-run=git", join(import.meta.dirname!, "..", "main.ts")];
}

/**
 * Makes sure that this program may start itself.
 *
 * @throws {ValidationError} if it may not.
 */
export async function checkMayStart(): Promise<void> {
  const command = Deno.execPath();
  const { state } = await Deno.permissions.query({ name: "run", command });
  if (state === "granted") return;
  throw new ValidationError(`Cannot start runs: no permission to run ${command}, wanted --allow-run`);
}
