/** What a user's mistake must look like: one line that names it, exit code 2, and nothing written. */
import assert from "node:assert/strict";
import type { Workspace } from "./program.ts";

/** Runs the program and checks that it refuses these arguments. */
export async function assertMistake(workspace: Workspace, args: readonly string[], says: RegExp): Promise<void> {
  const before = names(workspace.path);
  const { code, stdout, stderr } = await workspace.run(...args);
  assert.match(stderr, /^error: [^\n]+\n$/, "one line");
  assert.match(stderr, says);
  assert.equal(code, 2);
  assert.equal(stdout, "");
  assert.deepEqual(names(workspace.path), before, "nothing written");
}

/** Every path below a folder but those of the cache, with their sizes. */
function names(folder: string, below = ""): string[] {
  return [...Deno.readDirSync(`${folder}/${below}`)].filter(({ name }) => name !== "cache").flatMap((entry) => {
    const path = `${below}/${entry.name}`;
    return entry.isDirectory ? names(folder, path) : [`${path} ${Deno.statSync(folder + path).size}`];
  }).sort();
}
