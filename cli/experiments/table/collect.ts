/** From the folders of runs to the record of a study. */
import { ValidationError } from "@cliffy/command";
import { join } from "@std/path";
import * as z from "zod";
import { manifest, plan, planSchema, preset } from "../../../experiments/mod.ts";
import { countParameters, tokensPerStep } from "../../../experiments/counts.ts";
import type { Plan } from "../../../experiments/plan.ts";
import type { Study, StudyEntry } from "../../../experiments/studies/mod.ts";
import { differences, sha256 } from "./differences.ts";
import { readEvaluation } from "./evaluation.ts";
import { firstIssue, type Json, readJson, type RecordedRun, type StudyRecord } from "./record.ts";

/** Without an agreement at the evaluation, it is the mean over the last so many steps. */
const LAST_STEPS = 20;

/** A change of how often something is saved changes no result. */
const HARMLESS = /^checkpoint\./;

const eventSchema = z.looseObject({ type: z.string(), step: z.int().min(0) });
type Event = z.infer<typeof eventSchema>;

/**
 * What the run folders `runs/<name>` hold of the entries, with their evaluations if those are wanted.
 *
 * @throws {ValidationError} if a folder holds another run, or a file that is damaged.
 */
export async function collect(
  study: Study,
  entries: readonly StudyEntry[],
  runs: string,
  withEval: boolean,
): Promise<StudyRecord> {
  const record: StudyRecord = { format: 1, study, environments: [], manifest: null, runs: [] };
  for (const { name } of entries) {
    const folder = join(runs, name);
    const run = await collectRun(name, folder, record);
    const evaluation = withEval && run.state === "finished" ? await readEvaluation(folder) : undefined;
    record.runs.push(evaluation && run.state === "finished" ? { ...run, evaluation } : run);
  }
  return record;
}

/** Reads one run; adds to the record's environments and sets its manifest if they are new. */
async function collectRun(name: string, folder: string, record: StudyRecord): Promise<RecordedRun> {
  const manifestPath = join(folder, "manifest.json");
  const text = await textOf(manifestPath);
  if (text === undefined) return { name, state: "missing", parameters: countParameters(plan(preset(name))) };

  const stored = await readJson(manifestPath, "the manifest of a run") as Json;
  const is = Object(stored).name;
  if (is !== name) throw new ValidationError(`Cannot use ${folder}: it holds a run of ${is}, wanted one of ${name}`);
  const resolved = await readPlan(join(folder, "plan.json"));
  const parameters = countParameters(resolved);
  const { steps } = resolved.train;
  const events = parseEvents(join(folder, "events.jsonl"), await textOf(join(folder, "events.jsonl")) ?? "");
  const evaluation = events.findLast((event) => event.type === "eval" && event.step === steps);
  const end = events.findLast((event) => event.type === "end" || event.type === "start");
  const reason = end?.type === "end" ? String(end.reason) : null;
  if (reason !== "complete" || !evaluation) {
    const step = events.findLast((event) => event.type === "step")?.step ?? 0;
    return { name, state: "unfinished", parameters, step, steps, end: reason };
  }
  record.manifest ??= stored;
  const changed = differences(manifest(preset(name)) as unknown as Json, stored);
  return {
    name,
    state: "finished",
    parameters,
    manifestSha256: await sha256(text),
    differs: differences(record.manifest, stored),
    changed: Object.fromEntries(Object.entries(changed).filter(([path]) => !HARMLESS.test(path))),
    environment: indexOf(record.environments, await readJson(join(folder, "environment.json"), "JSON") as Json),
    eval: { ...evaluation, type: "eval", loss: numberOf(evaluation.loss) },
    agreement: agreement(evaluation, events),
    seconds: stepSeconds(events, tokensPerStep(resolved)),
  };
}

/** The text of a file, or undefined if there is none. */
async function textOf(path: string): Promise<string | undefined> {
  try {
    return await Deno.readTextFile(path);
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return undefined;
    if (error instanceof Deno.errors.NotADirectory) {
      throw new ValidationError(`Cannot read ${path}: a part of this path is a file, wanted the folder of a run`);
    }
    throw error;
  }
}

async function readPlan(path: string): Promise<Plan> {
  const parsed = planSchema.safeParse(await readJson(path, "the plan of a run"));
  if (parsed.success) return parsed.data;
  throw new ValidationError(`Cannot read ${path}: ${firstIssue(parsed.error)}, wanted a plan of this version`);
}

/** The events of a run. A last line without its end is one that is being written, or was cut: it is left out. */
function parseEvents(path: string, text: string): Event[] {
  const lines = text.split("\n");
  lines.pop();
  return lines.map((line, index) => {
    let value: unknown;
    try {
      value = JSON.parse(line);
    } catch {
      value = undefined;
    }
    const parsed = eventSchema.safeParse(value);
    if (parsed.success) return parsed.data;
    throw new ValidationError(
      `Cannot read ${path}: line ${index + 1} is no event, wanted what \`bowline train\` wrote`,
    );
  });
}

/** How far the sites of tied groups choose the same experts: at the evaluation, else over the last steps. */
function agreement(evaluation: Event, events: readonly Event[]) {
  if (evaluation.agreement !== undefined) {
    const { agreement, set_agreement } = evaluation;
    return { pairs: numberOf(agreement), set: numberOf(set_agreement), from: "eval" as const };
  }
  const last = events.filter((event) => event.type === "step").slice(-LAST_STEPS);
  const mean = (key: string) => {
    const values = last.map((event) => numberOf(event[key]));
    return values.length === 0 || values.includes(null) ? null : values.reduce((a, b) => a! + b!, 0)! / values.length;
  };
  return { pairs: mean("agreement"), set: mean("set_agreement"), from: "steps" as const };
}

/** Time in optimizer steps, however often the run was interrupted. */
function stepSeconds(events: readonly Event[], stepTokens: number): number | null {
  const steps = events.filter((event) => event.type === "step");
  const seconds = steps.reduce((total, event) => total + stepTokens / Number(event.tokens_per_s), 0);
  return Number.isFinite(seconds) ? Number(seconds.toFixed(1)) : null;
}

function numberOf(value: unknown): number | null {
  return typeof value === "number" && Number.isFinite(value) ? value : null;
}

/** The index of a value in a list, to which it is added if it is new. */
function indexOf(list: Json[], value: Json): number {
  const text = JSON.stringify(value);
  const found = list.findIndex((other) => JSON.stringify(other) === text);
  return found === -1 ? list.push(value) - 1 : found;
}
