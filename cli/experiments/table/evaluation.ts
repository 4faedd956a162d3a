/** What `bowline eval --out <run>/eval` left in a run's folder. */
import { ValidationError } from "@cliffy/command";
import { join } from "@std/path";
import * as z from "zod";
import { STUDY_TASKS } from "../../../experiments/tasks/mod.ts";
import { firstIssue, readJson, type RunEvaluation } from "./record.ts";

/** The folder in that of a run. */
const FOLDER = "eval";

const results = z.looseObject({
  results: z.record(z.string(), z.looseObject({ "acc,none": z.number().optional() })),
  "n-shot": z.record(z.string(), z.number()),
  config: z.looseObject({ limit: z.number().nullable() }),
  bowline: z.looseObject({ tokenization: z.string(), bos: z.string() }),
});

/**
 * The accuracies of the study's tasks, and how they were made otherwise than the study makes them; undefined if the run
 * was not evaluated.
 *
 * @throws {ValidationError} if the results are damaged.
 */
export async function readEvaluation(runFolder: string): Promise<RunEvaluation | undefined> {
  const folder = join(runFolder, FOLDER);
  const newest = (await namesIn(folder)).filter((name) => /^results_.+\.json$/.test(name)).sort().at(-1);
  if (newest === undefined) return undefined;
  const path = join(folder, newest);
  const parsed = results.safeParse(await readJson(path, "the results of an evaluation"));
  if (!parsed.success) throw new ValidationError(`Cannot read ${path}: ${firstIssue(parsed.error)}, wanted results`);
  const { data } = parsed;
  const { tokenization, bos } = data.bowline;
  const tasks = STUDY_TASKS.map(({ name }) => name).filter((name) => data.results[name]?.["acc,none"] !== undefined);
  const shots = new Set(tasks.map((name) => data["n-shot"][name]));
  return {
    acc: Object.fromEntries(tasks.map((name) => [name, data.results[name]!["acc,none"]!])),
    otherwise: [
      ...[...shots].filter((count) => count !== 3).map((count) => `${count} shots`),
      ...(tokenization === "split" ? [] : [`tokenization ${tokenization}`]),
      ...(bos === "always" ? [] : [`bos ${bos}`]),
      ...(data.config.limit === null ? [] : [`limit ${data.config.limit}`]),
    ],
  };
}

async function namesIn(folder: string): Promise<string[]> {
  try {
    return (await Array.fromAsync(Deno.readDir(folder))).map(({ name }) => name);
  } catch (error) {
    if (error instanceof Deno.errors.NotFound || error instanceof Deno.errors.NotADirectory) return [];
    throw error;
  }
}
