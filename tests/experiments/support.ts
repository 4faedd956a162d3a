/** What the tests of this folder share: a small experiment and ways to change it. */
import assert from "node:assert/strict";
import { ManifestError, type ManifestInput } from "../../experiments/mod.ts";

/** Six sites, grouped heads, every option of attention in use. */
export const small = {
  name: "small",
  model: {
    family: "qwen3",
    vocab: 300,
    width: 24,
    layers: 6,
    heads: 4,
    kvHeads: 2,
    headDim: 8,
    experts: 5,
    topK: 2,
    expertWidth: 12,
    maxSeqLen: 64,
  },
  tie: { groupSize: 2, skipFirst: 1, skipLast: 1 },
  train: { steps: 7, batch: 3, accumulation: 2, seqLen: 16 },
} satisfies ManifestInput;

/** Changes of the sections of {@link small}; not type-checked, since tests also make mistakes. */
// deno-lint-ignore no-explicit-any
export type Changes = Record<string, any>;

/** The small experiment with changed sections. */
export function changed(changes: Changes): ManifestInput {
  const input: Changes = structuredClone(small);
  for (const [section, change] of Object.entries(changes)) {
    input[section] = Object(change) === change && !Array.isArray(change) ? { ...input[section], ...change } : change;
  }
  return input as unknown as ManifestInput;
}

/** Asserts that `run` fails with one line that has the path and what was wanted, and that the error names the path. */
export async function refuses(run: () => unknown, path: string, wanted: string): Promise<void> {
  await assert.rejects(async () => await run(), (error) => {
    assert.ok(error instanceof ManifestError, `threw ${error}`);
    assert.ok(error instanceof RangeError, "a ManifestError is a RangeError");
    assert.equal(error.exitCode, 2);
    for (const words of [path, `wanted ${wanted}`]) {
      assert.ok(error.message.includes(words), `"${error.message}" does not say "${words}"`);
    }
    assert.match(error.message, /^Cannot [^\n]+$/, "one line that starts with what could not be done");
    return true;
  });
}
