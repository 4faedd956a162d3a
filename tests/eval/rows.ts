/** Rows of the shared folder, and the model whose log-likelihoods are a hash of the request. */
import { createHash } from "node:crypto";
import { zstdDecompressSync } from "node:zlib";
import type { Task } from "../../experiments/tasks/mod.ts";
import type { Score } from "../../experiments/harness/metrics.ts";
import { parse, type Row } from "../../experiments/harness/python.ts";
import { type Question, questions, type Rows, splitsOf } from "../../experiments/harness/questions.ts";

/** Rows of a file of JSON lines, compressed by zstd. */
export function readRows(path: string): Rows {
  const lines = zstdDecompressSync(Deno.readFileSync(path)).toString().trimEnd().split("\n");
  return { rows: lines.map((line) => parse(line) as Row), place: (i) => `${path}, row ${i + 1}` };
}

/** The questions of a task whose splits lie in a folder as <task>.<split>.jsonl.zst. */
export function sharedQuestions(folder: string, task: Task, count: number, limit = Infinity): Question[] {
  const { evaluated, pool } = splitsOf(task.splits);
  const read = (split: string) => readRows(`${folder}/${task.name}.${split}.jsonl.zst`);
  return questions(task, read(evaluated), count === 0 ? null : read(pool), { count, seed: 1234 }, limit);
}

/** -5 - 20 u, u the first 6 bytes of sha256(context NUL continuation) as a fraction. */
export function hashScores({ requests }: Question): Score[] {
  return requests.map(([context, continuation]) => {
    const digest = createHash("sha256").update(`${context}\0${continuation}`).digest();
    return { logLikelihood: -5 - 20 * (digest.readUIntBE(0, 6) / 2 ** 48), isGreedy: [...context].length % 2 === 0 };
  });
}
