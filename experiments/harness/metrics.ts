/** Metrics of single questions and over all of them, with the harness's rules for ties and for standard errors. */
import type { Task } from "../tasks/task.ts";
import { bootstrap } from "./bootstrap.ts";
import { countWords, Float, length } from "./python.ts";
import type { Question } from "./questions.ts";
import { mean, perplexity, standardDeviation, sum } from "./statistics.ts";

/** The score of a request: log-likelihood in nats, and whether every token was the likeliest. */
export interface Score {
  readonly logLikelihood: number;
  readonly isGreedy: boolean;
}

/** What a question contributes to a metric: a number, or a log-likelihood with its weight. */
export type Measure = number | Float | readonly [Float, number];

/** How a metric is called, what it makes of all measures, and whether more is better. */
interface Metric {
  readonly isHigherBetter: boolean;
  readonly value: (measures: readonly Measure[]) => number;
  /** `mean`: of the mean; `bootstrap`: resampled; null: the harness gives none. */
  readonly error: "mean" | "bootstrap" | null;
}

const bytes = (text: string) => new TextEncoder().encode(text).length;
const numberOf = (measure: Measure) => measure instanceof Float ? measure.value : Number(measure);

/** Log-likelihood of all texts by their whole weight. */
const perWeight = (measures: readonly Measure[]) => {
  const pairs = measures as readonly (readonly [Float, number])[];
  return -sum(pairs.map(([value]) => value.value)) / sum(pairs.map(([, weight]) => weight));
};
const average: Metric = { isHigherBetter: true, value: (all) => mean(all.map(numberOf)), error: "mean" };
const weighted: Metric = { isHigherBetter: false, value: (all) => Math.exp(perWeight(all)), error: null };

/** All metrics by name. */
export const METRICS: Readonly<Record<string, Metric>> = {
  acc: average,
  acc_norm: average,
  acc_bytes: average,
  perplexity: { isHigherBetter: false, value: (all) => perplexity(all.map(numberOf)), error: "bootstrap" },
  word_perplexity: weighted,
  byte_perplexity: weighted,
  bits_per_byte: { ...weighted, value: (all) => perWeight(all) / Math.LN2 },
};

/** The metrics of a task, in the order of samples. */
export function metricsOf(task: Task): readonly string[] {
  if (task.kind === "multiple-choice") return task.metrics;
  return task.kind === "cloze" ? ["perplexity", "acc"] : ["word_perplexity", "byte_perplexity", "bits_per_byte"];
}

/** What one question contributes. */
export function measure(task: Task, question: Question, scores: readonly Score[]): Record<string, Measure> {
  const [first] = scores;
  if (task.kind === "cloze") {
    return { perplexity: new Float(first!.logLikelihood), acc: first!.isGreedy ? 1 : 0 };
  }
  if (task.kind === "text") {
    const value = new Float(first!.logLikelihood);
    const size = bytes(question.target);
    return {
      word_perplexity: [value, countWords(question.target)],
      byte_perplexity: [value, size],
      bits_per_byte: [value, size],
    };
  }
  const divisors = { acc: () => 1, acc_norm: length, acc_bytes: bytes };
  return Object.fromEntries(task.metrics.map((metric) => {
    const values = scores.map(({ logLikelihood }, i) => logLikelihood / divisors[metric](question.choices[i]!));
    return [metric, new Float(argmax(values) === question.gold ? 1 : 0)];
  }));
}

/** Of a metric over all questions. */
export interface Aggregate {
  readonly value: number;
  /** Null where there is none: one question, or a metric without. */
  readonly error: number | null;
}

/** A metric over all questions; `rest` is called now and then, and may end a long one by throwing. */
export async function aggregate(
  metric: string,
  measures: readonly Measure[],
  bootstrapIterations: number,
  rest: () => Promise<void>,
): Promise<Aggregate> {
  const { value, error } = METRICS[metric]!;
  const hasError = error !== null && measures.length > 1 && bootstrapIterations > 0;
  const numbers = hasError ? measures.map(numberOf) : [];
  return {
    value: value(measures),
    error: !hasError
      ? null
      : error === "mean"
      ? standardDeviation(numbers) / Math.sqrt(numbers.length)
      : await bootstrap(numbers, perplexity, bootstrapIterations, rest),
  };
}

/** Index of the largest value: the first of those, and the first that is not a number before all, as numpy has it. */
function argmax(values: readonly number[]): number {
  const nan = values.findIndex(Number.isNaN);
  return nan === -1 ? values.indexOf(Math.max(...values)) : nan;
}
