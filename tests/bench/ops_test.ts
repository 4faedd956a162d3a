/** Operations timed by criterion: every op of the list has a row, with the work that its files tell. */
import assert from "node:assert/strict";
import { join } from "@std/path";
import { buildSpeed } from "../../cli/bench/native.ts";
import { readCriterion, timeOps } from "../../cli/bench/ops.ts";

Deno.test("every op of the list is timed", async () => {
  const list = await Deno.readTextFile(new URL("../../ffi/src/backend.rs", import.meta.url));
  const trait = list.slice(list.indexOf("pub trait Backend"));
  const without = ["install", "lanes", "takes_rows"]; // what runs ops, and a question
  const wanted = [...trait.matchAll(/^ {4}fn (\w+)/gm)].map((match) => match[1]!).filter((op) => !without.includes(op));
  await buildSpeed("test");
  const rows = await timeOps("nano");
  assert.deepEqual([...new Set(rows.map(({ op }) => op))], wanted.toSorted());
  for (const { model, op, shape, ms, gflops, gb_per_s: bytes } of rows) {
    assert.equal(model, "nano");
    assert.ok(ms > 0 && (gflops === null ? bytes! > 0 : gflops > 0 && bytes === null), `${op} ${shape}`);
  }
});

/** Writes what criterion leaves of an op that takes 2 ms. */
async function write(folder: string, name: string, throughput: object): Promise<void> {
  const path = join(folder, "nano", name, "new");
  await Deno.mkdir(path, { recursive: true });
  const benchmark = { "group_id": "nano", "function_id": name, "value_str": "T 4", throughput };
  await Deno.writeTextFile(join(path, "benchmark.json"), JSON.stringify(benchmark));
  await Deno.writeTextFile(join(path, "estimates.json"), JSON.stringify({ median: { "point_estimate": 2e6 } }));
}

Deno.test("speed follows from the median and the work of a call", async () => {
  const folder = await Deno.makeTempDir();
  try {
    await assert.rejects(readCriterion(folder), /Cannot report operations: .* has none that were timed/);
    await write(folder, "linear_forward", { Elements: 6_000_000 });
    await write(folder, "add", { Bytes: 8_000_000 });
    const of = { model: "nano", shape: "T 4", ms: 2 };
    assert.deepEqual(await readCriterion(folder), [
      { op: "add", ...of, gflops: null, "gb_per_s": 4 },
      { op: "linear_forward", ...of, gflops: 3, "gb_per_s": null },
    ]);
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
});
