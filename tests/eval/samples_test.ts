/**
 * Samples, hashes and errors, byte for byte what lm-evaluation-harness 0.4.13 wrote for the rows beside this file: rows
 * with floats of all sizes, letters beyond ASCII, markup, spaces, and rows that are asked and may be drawn as examples.
 * `tests/interop/harness.py --model hash --data tests/eval/rows` makes the numbers in rows/harness.json.
 */
import assert from "node:assert/strict";
import { sha256, taskHash } from "../../experiments/harness/hash.ts";
import { aggregate, measure, metricsOf } from "../../experiments/harness/metrics.ts";
import { parse, type Row } from "../../experiments/harness/python.ts";
import { questions, type Rows, splitsOf } from "../../experiments/harness/questions.ts";
import { samples } from "../../experiments/harness/samples.ts";
import { TASKS } from "../../experiments/tasks/mod.ts";
import { hashScores } from "./rows.ts";

interface Golden {
  readonly samples_sha256: string;
  readonly task_hash: string;
  readonly results: Readonly<Record<string, number | "N/A">>;
}

const ROWS = new URL("./rows/", import.meta.url);
const read = (name: string) => Deno.readTextFileSync(new URL(name, ROWS));

function rows(name: string): Rows {
  const lines = read(`${name}.jsonl`).split("\n").filter((line) => line !== "");
  return { rows: lines.map((line) => parse(line) as Row), place: (i) => `row ${i + 1}` };
}

for (const [key, golden] of Object.entries<Golden>(JSON.parse(read("harness.json")))) {
  const [name, shots] = key.split("|") as [string, string];
  Deno.test(`the harness's samples of ${name}, ${shots} shots`, async () => {
    const task = TASKS.find((task) => task.name === name)!;
    const { evaluated, pool } = splitsOf(task.splits);
    const [asked, examples] = [rows(`${name}.${evaluated}`), rows(`${name}.${pool}`)];
    const all = questions(task, asked, examples, { count: Number(shots), seed: 1234 }, Infinity);
    const scores = all.map(hashScores);
    assert.equal(taskHash(all), golden.task_hash);
    assert.equal(sha256(samples(task, all, scores).join("")), golden.samples_sha256);
    const measures = all.map((question, i) => measure(task, question, scores[i]!));
    for (const metric of metricsOf(task)) {
      const { value, error } = await aggregate(metric, measures.map((one) => one[metric]!), 3000, async () => {});
      // Exponentials of different libraries: a last bit or two.
      const near = (got: number, want: unknown) => Math.abs(got - Number(want)) <= 1e-12 * Math.abs(Number(want));
      assert.ok(near(value, golden.results[`${metric},none`]), `${metric}: ${value}`);
      assert.ok(error !== null && near(error, golden.results[`${metric}_stderr,none`]), `${metric}: error ${error}`);
    }
  });
}
