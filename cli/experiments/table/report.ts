/** The tables of a study as data, from its record and from what is published. */
import {
  type PublishedMean,
  publishedMeans,
  REFERENCE,
  type Study,
  studyEntries,
  type StudyEntry,
  type StudyFilter,
} from "../../../experiments/studies/mod.ts";
import { STUDY_TASKS } from "../../../experiments/tasks/mod.ts";
import type { RecordedRun, StudyRecord } from "./record.ts";
import { mean, rounded, spread } from "./statistics.ts";

/** A row: a variant, or several together. What is not known is null. */
export interface Row {
  /** The variant, or what the runs have in common. */
  label: string;
  /** What is shared; null for a row of several variants. */
  mode: string | null;
  /** Finished runs. */
  runs: number;
  /** Runs that the study has. */
  of: number;
  parameters: number | null;
  /** Percent of the baseline's parameters. */
  memorySaved: number | null;
  /** Mean of the final evaluation losses of the seeds. */
  loss: number | null;
  /** Their sample standard deviation. */
  lossSpread: number | null;
  /** Mean of the differences to the baseline, over the seeds that both have. */
  delta: number | null;
  /** Its standard error. */
  deltaError: number | null;
  /** Mean share of site pairs of a group with the same top-1 expert. */
  agreement: number | null;
  /** The set measure of the public code. */
  setAgreement: number | null;
  /** Mean accuracy of the seeds that were evaluated, by task, in percent; only if wanted. */
  accuracies?: Record<string, number | null>;
  /** Mean of all tasks, where there are all. */
  accuracy?: number | null;
  published: {
    loss: number | null;
    delta: number | null;
    parameters: number | null;
    accuracy: number | null;
    agreement: number | null;
  };
}

/** Rows that share a baseline. */
export interface Table {
  section: string;
  architecture: string;
  /** Name of the entry that the others are compared with, without a seed. */
  baseline: string;
  rows: Row[];
}

/** All that is printed. */
export interface Report {
  study: Study;
  reference: string;
  tables: Table[];
  /** Runs that the tables lack. */
  notFinished: { name: string; state: string }[];
  /** Finished runs whose last loss is not a number. */
  diverged: string[];
  /** What was run otherwise than the study says, and how often. */
  changed: { key: string; value: unknown; runs: number }[];
  /** Runs evaluated otherwise than the study does, and how. */
  evaluatedOtherwise: { name: string; how: string }[];
}

/** The entries of a filter, and those that their rows are compared with or averaged over. */
export function neededEntries(filter: StudyFilter & { study: Study }): StudyEntry[] {
  const shown = studyEntries(filter);
  const sections = new Set(shown.map(({ section }) => section));
  const needed = new Set(shown.flatMap(({ name, baseline }) => [name, baseline]));
  const averaged = new Set(publishedMeans(filter.study).filter((m) => sections.has(m.section)).flatMap((m) => m.of));
  return studyEntries({ study: filter.study }).filter((e) => needed.has(e.name) || averaged.has(withoutSeed(e)));
}

/** The tables of the entries that a filter lets through. */
export function report(record: StudyRecord, filter: StudyFilter, withEval = false): Report {
  const { study } = record;
  const runs = new Map(record.runs.map((run) => [run.name, run]));
  const isRecorded = ({ name }: StudyEntry) => runs.has(name);
  const all = neededEntries({ ...filter, study }).filter(isRecorded);
  const byVariant = Map.groupBy(all, withoutSeed);
  const shown = studyEntries({ ...filter, study }).filter(isRecorded);
  const tables = [...Map.groupBy(shown, (e) => JSON.stringify([e.section, e.architecture])).values()];
  const recorded = all.map(({ name }) => runs.get(name)!);
  return {
    study,
    reference: REFERENCE,
    tables: tables.map((entries) => {
      const { section, architecture, baseline, seed } = entries[0]!;
      const means = publishedMeans(study).filter((published) => published.section === section);
      return {
        section,
        architecture,
        baseline: nameWithout(seed, baseline),
        rows: [
          ...[...Map.groupBy(entries, withoutSeed).values()].map((same) => ({
            ...variantRow(same, runs),
            ...(withEval ? accuraciesOf(same, runs) : {}),
          })),
          ...means.map((published) => meanRow(published, byVariant, runs)),
        ],
      };
    }),
    notFinished: recorded.filter(({ state }) => state !== "finished").map((run) => ({
      name: run.name,
      state: stateOf(run),
    })),
    diverged: recorded.filter((run) => run.state === "finished" && run.eval.loss === null).map(({ name }) => name),
    changed: changes(recorded),
    evaluatedOtherwise: recorded.flatMap((run) =>
      withEval && run.state === "finished" && run.evaluation && run.evaluation.otherwise.length > 0
        ? [{ name: run.name, how: run.evaluation.otherwise.join(", ") }]
        : []
    ),
  };
}

/** The row of the entries of one variant, one per seed. */
function variantRow(entries: readonly StudyEntry[], runs: ReadonlyMap<string, RecordedRun>): Row {
  const finished = entries.map(({ name }) => runs.get(name)!).filter((run) => run.state === "finished");
  const first = entries[0]!;
  const parameters = runs.get(first.name)!.parameters.total;
  const untied = runs.get(first.baseline)?.parameters.total;
  const losses = finished.map((run) => run.eval.loss);
  const deltas = entries.map(({ name, baseline }) => difference(lossOf(runs.get(name)), lossOf(runs.get(baseline))))
    .filter((delta) => delta !== undefined);
  const isBaseline = first.baseline === first.name;
  const untiedLoss = studyEntries({ study: first.study }).find(({ name }) => name === first.baseline)?.published?.loss;
  return {
    label: first.variant,
    mode: first.mode ?? null,
    runs: finished.length,
    of: entries.length,
    parameters,
    memorySaved: untied === undefined ? null : rounded(100 * (1 - parameters / untied)),
    loss: rounded(mean(losses)),
    lossSpread: rounded(spread(losses)),
    delta: rounded(mean(deltas)),
    deltaError: isBaseline || deltas.length < 2 ? null : rounded(spread(deltas)! / Math.sqrt(deltas.length)),
    agreement: rounded(mean(finished.map((run) => run.agreement.pairs))),
    setAgreement: rounded(mean(finished.map((run) => run.agreement.set))),
    published: {
      loss: first.published?.loss ?? null,
      delta: rounded(difference(first.published?.loss, untiedLoss) ?? null),
      parameters: first.published?.parameters ?? null,
      accuracy: first.published?.accuracy ?? null,
      agreement: null,
    },
  };
}

/** The accuracies of the entries of one variant. */
function accuraciesOf(entries: readonly StudyEntry[], runs: ReadonlyMap<string, RecordedRun>) {
  const evaluations = entries.map(({ name }) => runs.get(name)!)
    .map((run) => run.state === "finished" ? run.evaluation : undefined).filter((found) => found !== undefined);
  const percent = (name: string) => {
    const values = evaluations.map(({ acc }) => acc[name]).filter((value) => value !== undefined);
    return values.length === 0 ? null : 100 * mean(values)!;
  };
  const all = STUDY_TASKS.map(({ name }) => [name, percent(name)] as const);
  const values = all.map(([, value]) => value);
  return {
    accuracies: Object.fromEntries(all.map(([name, value]) => [name, rounded(value)])),
    accuracy: values.includes(null) ? null : rounded(mean(values)),
  };
}

/** The row of variants of which a mean is published. A mean over a part of them is another number, so there is none. */
function meanRow(
  published: PublishedMean,
  byVariant: ReadonlyMap<string, readonly StudyEntry[]>,
  runs: ReadonlyMap<string, RecordedRun>,
): Row {
  const members = published.of.flatMap((name) => byVariant.get(name) ?? []);
  const rows = published.of.map((name) => byVariant.get(name)).filter((entries) => entries !== undefined)
    .map((entries) => variantRow(entries, runs));
  const over = (value: (row: Row) => number | null) =>
    rows.length < published.of.length ? null : rounded(mean(rows.map(value)));
  const untied = studyEntries({ study: members[0]?.study }).find(({ name }) => name === members[0]?.baseline);
  return {
    label: published.label,
    mode: null,
    runs: rows.reduce((total, row) => total + row.runs, 0),
    of: members.length,
    parameters: null,
    memorySaved: null,
    loss: over(({ loss }) => loss),
    lossSpread: null,
    delta: over(({ delta }) => delta),
    deltaError: null,
    agreement: over(({ agreement }) => agreement),
    setAgreement: over(({ setAgreement }) => setAgreement),
    published: {
      loss: published.loss ?? null,
      delta: rounded(difference(published.loss, untied?.published?.loss) ?? null),
      parameters: null,
      accuracy: null,
      agreement: published.agreement ?? null,
    },
  };
}

function lossOf(run: RecordedRun | undefined): number | null | undefined {
  return run?.state === "finished" ? run.eval.loss : undefined;
}

/** A difference of what both are known; NaN's null stays null. */
function difference(a: number | null | undefined, b: number | null | undefined): number | null | undefined {
  if (a === undefined || b === undefined) return undefined;
  return a === null || b === null ? null : a - b;
}

function withoutSeed({ name, seed }: StudyEntry): string {
  return nameWithout(seed, name);
}

function nameWithout(seed: number | undefined, name: string): string {
  return seed === undefined ? name : name.slice(0, -`/seed-${seed}`.length);
}

function stateOf(run: RecordedRun): string {
  return run.state === "unfinished"
    ? `unfinished: step ${run.step} of ${run.steps}${run.end === null ? "" : `, ${run.end}`}`
    : run.state;
}

function changes(runs: readonly RecordedRun[]): Report["changed"] {
  const all = runs.flatMap((run) => run.state === "finished" ? Object.entries(run.changed) : []);
  return [...Map.groupBy(all, (change) => JSON.stringify(change)).values()].map((same) => {
    const [key, value] = same[0]!;
    return { key, value, runs: same.length };
  });
}
