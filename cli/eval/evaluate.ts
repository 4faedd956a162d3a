/** An evaluation from the command line: questions, scores, metrics, files, table. */
import { requestsHash, taskHash } from "../../experiments/harness/hash.ts";
import { type Aggregate, aggregate, measure, metricsOf } from "../../experiments/harness/metrics.ts";
import { dumps } from "../../experiments/harness/python.ts";
import { type Question, questions } from "../../experiments/harness/questions.ts";
import {
  describe,
  means,
  resultsFile,
  type Setup,
  tableLines,
  type TaskResult,
} from "../../experiments/harness/results.ts";
import { samples } from "../../experiments/harness/samples.ts";
import { table } from "../../experiments/harness/table.ts";
import { countParameters } from "../../experiments/counts.ts";
import { loadTasks, type Task } from "../../experiments/tasks/mod.ts";
import { deviceInfo, type DeviceOptions } from "../../ffi/ts/device.ts";
import { Model } from "../../ffi/ts/model.ts";
import { fallbackOf } from "../device.ts";
import { readCheckpoint } from "../run/checkpoint.ts";
import { describeEnvironment } from "../run/environment.ts";
import { findCheckpoint } from "../run/folder.ts";
import { whole } from "../run/format.ts";
import { rowsOf } from "./rows.ts";
import { scoreQuestions } from "./score.ts";
import { type AskedSettings, type Settings, Store } from "./store.ts";
import { Watching } from "./watching.ts";

/** What to evaluate. */
export interface EvalRequest {
  /** A run or a checkpoint. */
  readonly run: string;
  /** As `--tasks` has it. */
  readonly tasks: string;
  /** Folder of rows; the hub if undefined. */
  readonly data: string | undefined;
  readonly settings: AskedSettings;
  /** Where to compute. */
  readonly where: DeviceOptions;
  /** Folder of the results; nothing is written if undefined. */
  readonly out: string | undefined;
  readonly isJson: boolean;
}

interface Asked {
  readonly task: Task;
  readonly all: readonly Question[];
  readonly original: number;
}

/**
 * Evaluates and prints. Everything that can be wrong with what was asked is found before the model is loaded.
 *
 * @throws {TaskError} for a task or a row that cannot be used.
 * @throws {ValidationError} for a checkpoint or a folder that cannot be used.
 * @throws {BowlineError} for a device that is not here.
 */
export async function evaluate({ run, tasks, data, settings: chosen, where, out, isJson }: EvalRequest): Promise<void> {
  using watching = new Watching();
  const checkpoint = await findCheckpoint(run);
  const { plan, modelSha256 } = await readCheckpoint(checkpoint);
  const { name: device, precision, fallback } = deviceInfo(where);
  const told = fallbackOf({ fallback });
  if (told !== null) watching.line(told);
  const settings: Settings = { ...chosen, device, precision };
  const store = out === undefined ? undefined : await Store.open(out, modelSha256, settings);
  await watching.untilInterrupted(async () => {
    const asked: Asked[] = [];
    for (const loaded of await loadTasks(tasks)) {
      watching.show(`reading ${loaded.task.name}`);
      const { evaluated, pool } = await rowsOf(loaded, data, settings.shots, watching.signal);
      const limit = limitOf(settings.limit, evaluated.rows.length);
      const all = questions(loaded.task, evaluated, pool, { count: settings.shots, seed: settings.seed }, limit);
      asked.push({ task: loaded.task, all, original: evaluated.rows.length });
    }
    const kept = asked.map(({ task, all }) => store?.finished(task.name, requestsHash(all)));
    const results: TaskResult[] = [];
    using model = kept.includes(undefined) ? await Model.open(checkpoint, { ...where, device }) : undefined;
    for (const [i, one] of asked.entries()) {
      const result = kept[i] ?? await evaluateTask(one, settings, model!, store, watching);
      if (kept[i]) watching.line(`${one.task.name}: finished before`);
      results.push(result);
    }
    const { versions, git } = describeEnvironment();
    const setup: Setup = {
      ...settings,
      model: run,
      modelSha: modelSha256,
      maxLength: plan.model.maxSeqLen,
      parameters: countParameters(plan).total,
      date: store?.date ?? watching.start,
      version: versions.bowline,
      commit: git?.commit ?? null,
    };
    await store?.finish(setup);
    watching.show("");
    console.log(isJson ? dumps(resultsFile(results, setup), { indent: 2 }) : report(results));
  }, out === undefined ? "nothing was written" : "finished tasks are kept: the same command goes on");
}

async function evaluateTask(
  { task, all, original }: Asked,
  settings: Settings,
  model: Model,
  store: Store | undefined,
  watching: Watching,
): Promise<TaskResult> {
  const start = performance.now();
  const { scores, tokens } = await scoreQuestions(model, task, all, settings, watching.progress(task.name));
  const measures = all.map((question, i) => measure(task, question, scores[i]!));
  const metrics: Record<string, Aggregate> = {};
  for (const metric of metricsOf(task)) {
    const values = measures.map((one) => one[metric]!);
    metrics[metric] = await aggregate(metric, values, settings.bootstrapIterations, () => watching.rest());
  }
  const shots = task.kind === "text" ? 0 : settings.shots;
  const seconds = (performance.now() - start) / 1000;
  const result: TaskResult = {
    name: task.name,
    shots,
    rows: { original, effective: all.length },
    metrics,
    taskHash: taskHash(all),
    requestsHash: requestsHash(all),
    config: describe(task, shots, metricsOf(task)),
    seconds,
  };
  await store?.add(result, samples(task, all, scores));
  watching.line(`${task.name}: ${whole(all.length)} rows, ${whole(tokens / seconds)} tokens/s`);
  return result;
}

/** The table, and below it the mean that the study reports. */
function report(results: readonly TaskResult[]): string {
  const { acc, acc_norm } = means(results);
  const percent = (value: number) => `${(100 * value).toFixed(2)} %`;
  const lines = [
    ...(acc === null ? [] : [`mean of acc: ${percent(acc)}`]),
    ...(acc_norm === null ? [] : [`mean of acc_norm: ${percent(acc_norm)}`]),
  ];
  const tail = results.length > 1 && lines.length > 0 ? `\n\n${lines.join("; ")}, over ${results.length} tasks` : "";
  return table(tableLines(results)) + tail;
}

/** Rows to ask: a part below 1 is rounded up. */
function limitOf(limit: number | null, rows: number): number {
  return limit === null ? rows : limit < 1 ? Math.ceil(rows * limit) : limit;
}
