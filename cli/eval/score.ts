/** Questions scored by a model. */
import type { Score } from "../../experiments/harness/metrics.ts";
import type { Question } from "../../experiments/harness/questions.ts";
import type { Task } from "../../experiments/tasks/mod.ts";
import type { JobOptions } from "../../ffi/ts/job.ts";
import type { Model } from "../../ffi/ts/model.ts";
import type { Settings } from "./store.ts";

/** The scores of all requests of each question, and the number of tokens read for them. */
export async function scoreQuestions(
  model: Model,
  task: Task,
  all: readonly Question[],
  { tokenization, bos }: Settings,
  options: JobOptions,
): Promise<{ scores: Score[][]; tokens: number }> {
  if (task.kind === "text") {
    const request = { tokenization, bos, prompts: [], texts: all.map(({ requests }) => requests[0]![0]) };
    const { texts, tokens } = await model.score(request, options);
    return { scores: texts.map((logLikelihood) => [{ logLikelihood, isGreedy: false }]), tokens };
  }
  // The requests of a question mostly have one context, which is sent and read once.
  const grouped = all.map(({ requests }) => [...Map.groupBy(requests, ([context]) => context)]);
  const prompts = grouped.flatMap((groups) =>
    groups.map(([context, requests]) => ({ context, continuations: requests.map(([, continuation]) => continuation) }))
  );
  const report = await model.score({ tokenization, bos, prompts, texts: [] }, options);
  let next = 0;
  const scores = all.map(({ requests }, i) => {
    const found = new Map(grouped[i]!.map(([context]) => [context, report.prompts[next++]!.values()]));
    return requests.map(([context]) => found.get(context)!.next().value!);
  });
  return { scores, tokens: report.tokens };
}
