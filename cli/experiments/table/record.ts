/**
 * The record of a study: all that its table is made of, in one file. Manifests are stored once and as differences, so
 * that the file can be read and still proves, by their checksums, what every run was.
 */
import { ValidationError } from "@cliffy/command";
import * as z from "zod";
import { STUDIES } from "../../../experiments/studies/mod.ts";

/** Version of this format. */
const FORMAT = 1;

const count = z.int().min(0);
const measured = z.number().nullable(); // null: NaN, since JSON has none

const parameters = z.strictObject({ total: count, experts: count, active: count });

/** The keys of a manifest that differ from those of another, by their dotted paths. */
const differences = z.record(z.string(), z.json());

const evaluation = z.strictObject({
  /** Accuracy by task, 0 to 1. */
  acc: z.record(z.string(), z.number()),
  /** What was evaluated otherwise than the study does. */
  otherwise: z.array(z.string()),
});

const run = z.discriminatedUnion("state", [
  /** No folder of this run. */
  z.strictObject({ name: z.string(), state: z.literal("missing"), parameters }),
  /** A run that was started; `end` is how it stopped last, or null if it did not say so. */
  z.strictObject({
    name: z.string(),
    state: z.literal("unfinished"),
    parameters,
    step: count,
    steps: count,
    end: z.string().nullable(),
  }),
  z.strictObject({
    name: z.string(),
    state: z.literal("finished"),
    parameters,
    /** SHA-256 of the run's manifest.json. */
    manifestSha256: z.string().regex(/^[0-9a-f]{64}$/),
    /** From the manifest of the record to the run's. */
    differs: differences,
    /** From the preset to the run's manifest: what was run otherwise than the study says. */
    changed: differences,
    /** Index into the record's environments. */
    environment: count,
    /** The evaluation after the last step. */
    eval: z.looseObject({ type: z.literal("eval"), step: count, loss: measured }),
    /** Both definitions; null for a model without tied groups. */
    agreement: z.strictObject({ pairs: measured, set: measured, from: z.enum(["eval", "steps"]) }),
    /** Time in optimizer steps. */
    seconds: measured,
    /** If it was evaluated, and that was asked for. */
    evaluation: evaluation.optional(),
  }),
]);

const schema = z.strictObject({
  format: z.literal(FORMAT),
  study: z.enum(STUDIES),
  /** Where the runs ran, each place once. */
  environments: z.array(z.json()),
  /** The manifest of the first finished run, or null if there is none. */
  manifest: z.json(),
  runs: z.array(run),
}).refine(
  ({ runs, environments }) => runs.every((r) => r.state !== "finished" || r.environment < environments.length),
  "a run names an environment that is not there",
);

/** A value of JSON. */
export type Json = z.infer<ReturnType<typeof z.json>>;
/** What is kept of a run. */
export type RecordedRun = z.infer<typeof run>;
/** What is kept of a finished run. */
export type FinishedRun = Extract<RecordedRun, { state: "finished" }>;
/** What is kept of an evaluation. */
export type RunEvaluation = z.infer<typeof evaluation>;
/** What is kept of a study. */
export type StudyRecord = z.infer<typeof schema>;

/**
 * Reads a record.
 *
 * @throws {ValidationError} if the file is missing, or no record of this version.
 */
export async function readRecord(path: string): Promise<StudyRecord> {
  const value = await readJson(path, "a record of a study");
  const format = Object(value).format;
  if (format !== FORMAT) {
    const is = format === undefined ? "it has no format" : `its format is ${JSON.stringify(format)}`;
    throw new ValidationError(`Cannot read ${path}: ${is}, wanted a record of format ${FORMAT}`);
  }
  const parsed = schema.safeParse(value);
  if (parsed.success) return parsed.data;
  throw new ValidationError(`Cannot read ${path}: ${firstIssue(parsed.error)}, wanted a record of format ${FORMAT}`);
}

/** The record as text: a run is a line, so that a changed run is a changed line. */
export function recordText({ runs, ...rest }: StudyRecord): string {
  const lines = runs.map((run) => `    ${JSON.stringify(run)}`).join(",\n");
  return `${JSON.stringify(rest, null, 2).replace(/\n}$/, "")},\n  "runs": [\n${lines}\n  ]\n}\n`;
}

/** The JSON in a file. */
export async function readJson(path: string, wanted: string): Promise<unknown> {
  try {
    return JSON.parse(await Deno.readTextFile(path));
  } catch (error) {
    const is = error instanceof Deno.errors.NotFound
      ? "no such file"
      : error instanceof Deno.errors.IsADirectory
      ? "it is a folder"
      : error instanceof SyntaxError
      ? "it is not JSON"
      : undefined;
    if (is === undefined) throw error;
    throw new ValidationError(`Cannot read ${path}: ${is}, wanted ${wanted}`);
  }
}

/** The first thing that is wrong, with its place. */
export function firstIssue(error: z.ZodError): string {
  const { path, message } = error.issues[0]!;
  return path.length === 0 ? message : `${path.join(".")}: ${message}`;
}
