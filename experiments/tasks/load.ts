/** From what `--tasks` says to tasks: names, files of a user's own tasks, and texts. */
import { basename, resolve, toFileUrl } from "@std/path";
import * as z from "zod";
import { nearest } from "../errors.ts";
import { STUDY_TASKS, TASKS } from "./registry.ts";
import { CHOICE_METRICS, type Task, TaskError } from "./task.ts";

/** The name that stands for the six tasks of the study. */
const STUDY = "study";

const functions = z.custom<(row: unknown) => unknown>((value) => value === undefined || typeof value === "function")
  .optional();
const templates = z.union([z.string(), z.custom<(row: unknown) => unknown>((value) => typeof value === "function")]);
const common = {
  name: z.string().regex(/^[\w.-]+$/),
  dataset: z.strictObject({ path: z.string(), config: z.string().nullable() }).nullable().default(null),
  splits: z.strictObject({
    train: z.string().optional(),
    validation: z.string().optional(),
    test: z.string().optional(),
  }),
  prepare: functions,
};

/** A task as a file has it; in JSON there are no functions. */
const schema = z.discriminatedUnion("kind", [
  z.strictObject({
    ...common,
    kind: z.literal("multiple-choice"),
    prompt: templates,
    choices: z.union([templates, z.array(z.string()).min(2)]),
    gold: z.union([z.int().min(0), templates, z.strictObject({ find: z.string(), in: z.string() })]),
    metrics: z.array(z.enum(CHOICE_METRICS)).min(1).default(["acc", "acc_norm"]),
  }),
  z.strictObject({ ...common, kind: z.literal("cloze"), prompt: templates, target: templates }),
  z.strictObject({ ...common, kind: z.literal("text"), text: z.string() }),
]);

/** A task, and the file that is its only row where it is a text. */
export interface LoadedTask {
  readonly task: Task;
  readonly textFile?: string;
}

/**
 * The tasks of a list such as `arc_easy,./mine.ts,book.txt`; `study` stands for the six of the study.
 *
 * @throws {TaskError} if there is no such task, a file holds none, or two have the same name.
 */
export async function loadTasks(list: string): Promise<LoadedTask[]> {
  const words = list.split(",").map((word) => word.trim()).filter((word) => word !== "");
  const loaded = (await Promise.all(words.map(load))).flat();
  if (loaded.length === 0) throw new TaskError(`Cannot use --tasks ${list}: it names none, wanted ${known()}`);
  const names = loaded.map(({ task }) => task.name);
  const twice = names.find((name, i) => names.indexOf(name) !== i);
  if (twice !== undefined) throw new TaskError(`Cannot use --tasks ${list}: ${twice} is there twice, wanted it once`);
  return loaded;
}

async function load(word: string): Promise<LoadedTask[]> {
  if (word === STUDY) return STUDY_TASKS.map((task) => ({ task }));
  const found = TASKS.find((task) => task.name === word);
  if (found) return [{ task: found }];
  if (/\.(txt|md)$/.test(word)) return [textOf(word)];
  if (/\.(ts|js|json)$/.test(word)) return [{ task: await read(word) }];
  const [near] = nearest(word, TASKS.map((task) => task.name), 1);
  throw new TaskError(`Cannot find the task ${word}: ${near ? `perhaps ${near} is meant, ` : ""}wanted ${known()}`);
}

function known(): string {
  return `some of ${
    TASKS.map((task) => task.name).join(", ")
  }, ${STUDY}, a .ts or .json file of a task, or a .txt file`;
}

/** Perplexity of a file, which is called like the file. */
function textOf(path: string): LoadedTask {
  const name = basename(path).replace(/\.\w+$/, "").replaceAll(/[^\w.-]/g, "_");
  const splits = { test: "test" };
  return { task: { name, kind: "text", dataset: null, splits, text: "{text}" }, textFile: resolve(path) };
}

async function read(path: string): Promise<Task> {
  let value: unknown;
  try {
    value = path.endsWith(".json")
      ? JSON.parse(await Deno.readTextFile(path))
      : Object(await import(toFileUrl(resolve(path)).href)).default;
  } catch (error) {
    const isMissing = error instanceof Deno.errors.NotFound || Object(error).code === "ERR_MODULE_NOT_FOUND";
    const [reason] = (error instanceof Error ? error.message : String(error)).split("\n");
    throw new TaskError(`Cannot read the task ${path}: ${isMissing ? "no such file" : reason}, wanted a task`);
  }
  const parsed = schema.safeParse(value);
  if (parsed.success) return parsed.data as unknown as Task;
  const { path: key, message } = parsed.error.issues[0]!;
  const where = key.length === 0 ? "its default export" : key.join(".");
  throw new TaskError(`Cannot use the task ${path}: ${where}: ${message}, wanted a task as in experiments/tasks`);
}
