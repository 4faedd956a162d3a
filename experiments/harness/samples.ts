/** The lines of samples_<task>_<date>.jsonl, as the harness writes them. */
import type { Task } from "../tasks/task.ts";
import { sampleHashes } from "./hash.ts";
import { measure, type Score } from "./metrics.ts";
import { dumps, floatText, type Row } from "./python.ts";
import type { Question } from "./questions.ts";

/** One line for each question, each with its line end. */
export function samples(
  task: Task,
  questions: readonly Question[],
  scores: readonly (readonly Score[])[],
): string[] {
  return questions.map((question, id) => {
    const measures = measure(task, question, scores[id]!);
    const [docHash, promptHash, targetHash] = sampleHashes(question);
    const given = (request: Question["requests"][number]) => task.kind === "text" ? [request[0]] : request;
    const resps = scores[id]!.map((score) => {
      const text = floatText(score.logLikelihood);
      return task.kind === "text" ? text : [text, score.isGreedy ? "True" : "False"];
    });
    const row: Row = {
      doc_id: id,
      doc: question.row,
      target: question.target,
      arguments: numbered("gen_args_", question.requests.map((request) => numbered("arg_", given(request)))),
      resps: resps.map((one) => [one]),
      filtered_resps: resps,
      filter: "none",
      metrics: Object.keys(measures),
      doc_hash: docHash,
      prompt_hash: promptHash,
      target_hash: targetHash,
      ...measures,
    };
    return `${dumps(row)}\n`;
  });
}

function numbered(prefix: string, values: readonly (string | Row)[]): Row {
  return Object.fromEntries(values.map((value, i) => [prefix + i, value]));
}
