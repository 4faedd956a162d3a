/** The file results_<date>.json in the layout of the harness; what only the harness has is null. */
import type { ChoiceTask, Task } from "../tasks/task.ts";
import { type Aggregate, METRICS } from "./metrics.ts";
import { Float, type Row, type Value } from "./python.ts";
import { mean } from "./statistics.ts";
import type { Line } from "./table.ts";

/** Version of every task. */
const VERSION = 1;

/** A task that has been evaluated. */
export interface TaskResult {
  readonly name: string;
  readonly shots: number;
  /** Rows that there are, and that were asked. */
  readonly rows: { readonly original: number; readonly effective: number };
  /** By metric, in the order of the task. */
  readonly metrics: Readonly<Record<string, Aggregate>>;
  readonly taskHash: string;
  /** SHA-256 of all requests. */
  readonly requestsHash: string;
  /** The task in words. */
  readonly config: Readonly<Record<string, unknown>>;
  readonly seconds: number;
}

/** How everything was evaluated. */
export interface Setup {
  readonly model: string;
  /** What the checkpoint's weights are, by their SHA-256. */
  readonly modelSha: string;
  readonly seed: number;
  readonly limit: number | null;
  readonly bootstrapIterations: number;
  readonly tokenization: string;
  readonly bos: string;
  /** Where scores were computed, and how products of matrices were. */
  readonly device: string;
  readonly precision: string;
  readonly maxLength: number;
  readonly parameters: number;
  /** When it was begun. */
  readonly date: Date;
  readonly version: string;
  readonly commit: string | null;
}

/** The lines of the printed table. */
export function tableLines(results: readonly TaskResult[]): Line[] {
  return results.flatMap(({ name, shots, metrics }) =>
    Object.entries(metrics).map(([metric, { value, error }]) => ({
      task: name,
      version: VERSION,
      shots,
      metric,
      isHigherBetter: METRICS[metric]!.isHigherBetter,
      value,
      error,
    }))
  );
}

/** Means over the tasks of what all of them have, each task once; null where one lacks it. */
export function means(results: readonly TaskResult[]): { acc: number | null; acc_norm: number | null } {
  const over = (metric: string) => {
    const values = results.map(({ metrics }) => metrics[metric]?.value);
    return values.length > 0 && values.every((value) => value !== undefined) ? mean(values) : null;
  };
  return { acc: over("acc"), acc_norm: over("acc_norm") };
}

/** The whole file. */
export function resultsFile(results: readonly TaskResult[], setup: Setup): Row {
  const sorted = results.toSorted((a, b) => a.name < b.name ? -1 : 1);
  const each = (list: readonly TaskResult[], make: (result: TaskResult) => Value): Row =>
    Object.fromEntries(list.map((result) => [result.name, make(result)]));
  const float = (value: number | null) => value === null ? null : new Float(value);
  const { acc, acc_norm } = means(results);
  const seconds = results.reduce((total, result) => total + result.seconds, 0);
  return {
    results: each(results, resultOf),
    group_subtasks: {},
    configs: each(sorted, ({ config }) => config as Row),
    versions: each(sorted, () => new Float(VERSION)),
    "n-shot": each(sorted, ({ shots }) => shots),
    higher_is_better: each(
      sorted,
      ({ metrics }) => Object.fromEntries(Object.keys(metrics).map((name) => [name, METRICS[name]!.isHigherBetter])),
    ),
    "n-samples": each(results, ({ rows }) => ({ original: rows.original, effective: rows.effective })),
    config: {
      model: "bowline",
      model_args: `checkpoint=${setup.model},tokenization=${setup.tokenization},bos=${setup.bos}`,
      model_num_parameters: setup.parameters,
      model_dtype: "float32",
      model_revision: null,
      model_sha: setup.modelSha,
      batch_size: 1,
      batch_sizes: [],
      device: setup.device,
      use_cache: null,
      limit: setup.limit === null || Number.isInteger(setup.limit) ? setup.limit : new Float(setup.limit),
      bootstrap_iters: setup.bootstrapIterations,
      gen_kwargs: null,
      random_seed: null,
      numpy_seed: null,
      torch_seed: null,
      fewshot_seed: setup.seed,
    },
    git_hash: setup.commit,
    date: new Float(setup.date.getTime() / 1000),
    pretty_env_info: null,
    transformers_version: null,
    lm_eval_version: null,
    upper_git_hash: null,
    tokenizer_pad_token: null,
    tokenizer_eos_token: null,
    tokenizer_bos_token: null,
    eot_token_id: null,
    max_length: setup.maxLength,
    task_hashes: each(results, ({ taskHash }) => taskHash),
    model_source: "bowline",
    model_name: setup.model,
    model_name_sanitized: setup.model.replaceAll(/["<>:/|\\?*[\]]+/g, "__"),
    system_instruction: null,
    system_instruction_sha: null,
    fewshot_as_multiturn: null,
    chat_template: null,
    chat_template_sha: null,
    total_evaluation_time_seconds: String(seconds),
    bowline: {
      version: setup.version,
      tokenization: setup.tokenization,
      bos: setup.bos,
      precision: setup.precision,
      request_hashes: each(results, ({ requestsHash }) => requestsHash),
      mean: { acc: float(acc), acc_norm: float(acc_norm) },
    },
  };
}

function resultOf({ name, rows, metrics }: TaskResult): Row {
  const numbers = Object.entries(metrics).flatMap(([metric, { value, error }]): [string, Value][] => [
    [`${metric},none`, new Float(value)],
    [`${metric}_stderr,none`, error === null ? "N/A" : new Float(error)],
  ]);
  return { name, alias: name, sample_len: rows.effective, ...Object.fromEntries(numbers) };
}

/** A task as the harness's `configs` describe one: without what is not set, functions as their source. */
export function describe(task: Task, shots: number, metrics: readonly string[]): Record<string, unknown> {
  const { train, validation, test } = task.splits;
  const words = (value: unknown) =>
    typeof value === "function" ? String(value) : typeof value === "object" ? JSON.stringify(value) : value;
  const parts = task.kind === "text"
    ? { doc_to_text: "", doc_to_target: task.text }
    : task.kind === "cloze"
    ? { doc_to_text: words(task.prompt), doc_to_target: words(task.target) }
    : choiceParts(task, words);
  const config = {
    task: task.name,
    dataset_path: task.dataset?.path,
    dataset_name: task.dataset?.config ?? undefined,
    training_split: train,
    validation_split: validation,
    test_split: test,
    process_docs: task.prepare && String(task.prepare),
    ...parts,
    description: "",
    target_delimiter: " ",
    fewshot_delimiter: "\n\n",
    num_fewshot: shots,
    metric_list: metrics.map((metric) => ({ metric, higher_is_better: METRICS[metric]!.isHigherBetter })),
    output_type:
      { "multiple-choice": "multiple_choice", cloze: "loglikelihood", text: "loglikelihood_rolling" }[task.kind],
    repeats: 1,
  };
  return Object.fromEntries(Object.entries(config).filter(([, value]) => value !== undefined));
}

function choiceParts({ prompt, gold, choices }: ChoiceTask, words: (value: unknown) => unknown) {
  return { doc_to_text: words(prompt), doc_to_target: words(gold), doc_to_choice: words(choices) };
}
