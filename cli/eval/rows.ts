/** Where the rows of tasks are: files of a folder, or data sets of the hub. */
import { join } from "@std/path";
import { type LoadedTask, type Task, TaskError } from "../../experiments/tasks/mod.ts";
import { parse, type Row } from "../../experiments/harness/python.ts";
import { type Rows, splitsOf } from "../../experiments/harness/questions.ts";
import { type RowsReport, runJob } from "../../ffi/ts/job.ts";
import { cacheFolder } from "../cache.ts";

/** Endings of files of rows. */
const ENDINGS = /\.(jsonl|json)(\.gz|\.zst)?$|\.(parquet|arrow)$/;

/** The branch on which the hub keeps every data set as Parquet files, <configuration>/<split>/<number>.parquet. */
const PARQUET_BRANCH = "refs/convert/parquet";

/** Rows that are asked, and those that examples are of. */
export interface TaskRows {
  readonly evaluated: Rows;
  readonly pool: Rows | null;
}

/**
 * The rows of a task; without examples none of the pool are read.
 *
 * @throws {TaskError} if a split is not there or holds nothing.
 */
export async function rowsOf(
  { task, textFile }: LoadedTask,
  folder: string | undefined,
  shots: number,
  signal: AbortSignal,
): Promise<TaskRows> {
  if (textFile !== undefined) return { evaluated: await textRows(textFile), pool: null };
  const { evaluated, pool } = splitsOf(task.splits);
  const read = (split: string) => readSplit(task, split, folder, signal);
  const asked = await read(evaluated);
  if (shots === 0) return { evaluated: asked, pool: null };
  return { evaluated: asked, pool: pool === evaluated ? asked : await read(pool) };
}

async function textRows(file: string): Promise<Rows> {
  try {
    const text = await Deno.readTextFile(file);
    if (text.trim() === "") throw new TaskError(`Cannot use ${file}: it is empty, wanted a text`);
    return { rows: [{ text }], place: () => file };
  } catch (error) {
    if (!(error instanceof Deno.errors.NotFound)) throw error;
    throw new TaskError(`Cannot read the text ${file}: no such file`);
  }
}

async function readSplit(task: Task, split: string, folder: string | undefined, signal: AbortSignal): Promise<Rows> {
  const paths = folder === undefined ? [address(task, split)] : await filesOf(folder, task.name, split);
  const request = { job: "rows", paths, cacheDir: cacheFolder() } as const;
  const { files, rows }: RowsReport = await runJob(request, { signal, parse });
  if (rows.length === 0) throw new TaskError(`Cannot use ${paths[0]}: it has no rows, wanted those of ${task.name}`);
  return {
    rows: rows as readonly Row[],
    place: (index) => {
      for (const { name, rows } of files) {
        if (index < rows) return `${name}, row ${index + 1}`;
        index -= rows;
      }
      return task.name;
    },
  };
}

function address({ name, dataset }: Task, split: string): string {
  if (dataset === null) {
    throw new TaskError(`Cannot find the rows of ${name}: it names no data set, wanted --data FOLDER`);
  }
  return `hf://datasets/${dataset.path}@${PARQUET_BRANCH}/${dataset.config ?? "default"}/${split}`;
}

/** The files of a split: <task>.<split>.*, or below <task>/ those that the split's name begins, or that are below it. */
async function filesOf(folder: string, task: string, split: string): Promise<string[]> {
  const flat = (await namesIn(folder)).filter((name) => name.startsWith(`${task}.${split}.`) && ENDINGS.test(name));
  const isOfSplit = (path: string) => {
    const parts = path.split("/");
    const file = parts.pop()!;
    return parts.includes(split) || new RegExp(`^${split}[._-]`).test(file);
  };
  const below = flat.length > 0 ? [] : (await filesBelow(join(folder, task))).filter(isOfSplit);
  const found = [...flat, ...below.map((path) => `${task}/${path}`)].sort().map((path) => join(folder, path));
  if (found.length > 0) return found;
  throw new TaskError(
    `Cannot find the ${split} split of ${task} in ${folder}: there is no ${task}.${split}.* and no ${task}/${split}*, ` +
      "wanted .jsonl (also .gz, .zst), .parquet or .arrow",
  );
}

/** Files of rows below a folder, with `/` in their paths. */
async function filesBelow(folder: string, below = ""): Promise<string[]> {
  const found: string[] = [];
  for (const name of await namesIn(join(folder, below))) {
    const path = below === "" ? name : `${below}/${name}`;
    const { isDirectory } = await Deno.stat(join(folder, path));
    if (isDirectory) found.push(...await filesBelow(folder, path));
    else if (ENDINGS.test(name)) found.push(path);
  }
  return found;
}

async function namesIn(folder: string): Promise<string[]> {
  try {
    return (await Array.fromAsync(Deno.readDir(folder))).map(({ name }) => name);
  } catch (error) {
    if (error instanceof Deno.errors.NotFound || error instanceof Deno.errors.NotADirectory) return [];
    throw error;
  }
}
