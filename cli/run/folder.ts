/** A run's folder: what was asked, what it resolved to, what happened, and the checkpoints. */
import { join } from "@std/path";
import { ValidationError } from "@cliffy/command";
import { LOCK_FILE } from "./lock.ts";

const STEP_FOLDER = /^step-(\d{8})$/;
/** Ends the names of files that are not whole yet. */
const TEMPORARY = ".tmp";
/** The messages of a run that `bowline experiments run` started. */
export const LOG_FILE = "log.txt";
/** What may stand in a folder before a run does. */
const BEFORE_RUN: readonly string[] = [LOCK_FILE, LOG_FILE];

/** A complete checkpoint. */
export interface Checkpoint {
  /** Completed steps. */
  readonly step: number;
  /** Its folder. */
  readonly path: string;
}

/** The files of a run. Nothing is written before `begin`. */
export class RunFolder {
  /** Where the run is. */
  readonly path: string;
  /** Where its events are recorded. */
  readonly eventsPath: string;

  /** Names a folder, whether or not it exists. */
  constructor(path: string) {
    this.path = path;
    this.eventsPath = join(path, "events.jsonl");
  }

  /**
   * Refuses a folder that this manifest must not be trained in. A folder that does not exist or is empty will do for a
   * new run; one that holds a run will do only for going on with the same manifest.
   */
  async check(manifest: unknown, isResuming: boolean): Promise<void> {
    const names = await namesIn(this.path);
    if (names.every((name) => name.endsWith(TEMPORARY) || BEFORE_RUN.includes(name))) return;
    if (!names.includes("manifest.json")) {
      throw new ValidationError(`Cannot train in ${this.path}: it holds other files, wanted a new folder or a run`);
    }
    if (!isResuming) {
      const newest = (await this.newest())?.step;
      const at = newest === undefined ? "without a checkpoint" : `with a checkpoint at step ${newest}`;
      throw new ValidationError(
        `Cannot train in ${this.path}: it holds a run ${at}; go on with --resume, or start another with --out DIR`,
      );
    }
    const stored = JSON.parse(await Deno.readTextFile(join(this.path, "manifest.json")));
    const path = firstDifference(stored, manifest);
    if (path === undefined) return;
    throw new ValidationError(
      `Cannot resume ${this.path}: ${path} is ${show(at(manifest, path))}, its manifest.json has ${
        show(at(stored, path))
      }; leave it as it was, or use --out DIR`,
    );
  }

  /** Whether the folder is there. */
  async exists(): Promise<boolean> {
    try {
      return (await Deno.stat(this.path)).isDirectory;
    } catch (error) {
      if (error instanceof Deno.errors.NotFound) return false;
      throw error;
    }
  }

  /** The complete checkpoints, oldest first. */
  async checkpoints(): Promise<Checkpoint[]> {
    const folder = join(this.path, "checkpoints");
    return (await namesIn(folder)).flatMap((name) => {
      const step = STEP_FOLDER.exec(name)?.[1];
      return step === undefined ? [] : [{ step: Number(step), path: join(folder, name) }];
    }).sort((a, b) => a.step - b.step);
  }

  /** The newest complete checkpoint. */
  async newest(): Promise<Checkpoint | undefined> {
    return (await this.checkpoints()).at(-1);
  }

  /** Where the checkpoint after `step` steps belongs. */
  checkpointPath(step: number): string {
    return join(this.path, "checkpoints", `step-${String(step).padStart(8, "0")}`);
  }

  /** Creates the folder with its descriptions: file names with the values they hold. */
  async begin(files: Readonly<Record<string, unknown>>, tokenizerFile: string): Promise<void> {
    await Deno.mkdir(join(this.path, "checkpoints"), { recursive: true });
    for (const [name, value] of Object.entries(files)) {
      await this.#place(name, (to) => Deno.writeTextFile(to, `${JSON.stringify(value, null, 2)}\n`));
    }
    await this.#place("tokenizer.json", (to) => Deno.copyFile(tokenizerFile, to));
  }

  /** Removes all but the newest `keep` checkpoints. */
  async prune(keep: number): Promise<void> {
    for (const { path } of (await this.checkpoints()).slice(0, -keep)) await Deno.remove(path, { recursive: true });
  }

  async #place(name: string, write: (temporary: string) => Promise<void>): Promise<void> {
    const path = join(this.path, name);
    await write(path + TEMPORARY);
    await Deno.rename(path + TEMPORARY, path);
  }
}

/**
 * The checkpoint that a path names: a checkpoint folder itself, or the newest one of a run folder.
 *
 * @throws {ValidationError} if there is none.
 */
export async function findCheckpoint(path: string): Promise<string> {
  const names = await namesIn(path);
  if (names.includes("state.json")) return path;
  const newest = await new RunFolder(path).newest();
  if (newest) return newest.path;
  const is = names.length === 0 ? "no such folder, or an empty one" : "no checkpoint in it";
  throw new ValidationError(`Cannot find a checkpoint at ${path}: ${is}, wanted a run folder or a checkpoint folder`);
}

/** The names in a folder; none if it does not exist. */
async function namesIn(folder: string): Promise<string[]> {
  try {
    return (await Array.fromAsync(Deno.readDir(folder))).map((entry) => entry.name);
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return [];
    if (error instanceof Deno.errors.NotADirectory) {
      throw new ValidationError(`Cannot use ${folder}: it is a file, wanted a folder`);
    }
    throw error;
  }
}

/** The dotted path of the first key where two JSON values differ. */
function firstDifference(a: unknown, b: unknown, path = ""): string | undefined {
  if (a === b) return undefined;
  if (typeof a !== "object" || typeof b !== "object" || a === null || b === null) return path;
  for (const key of new Set([...Object.keys(a), ...Object.keys(b)])) {
    const found = firstDifference(at(a, key), at(b, key), path === "" ? key : `${path}.${key}`);
    if (found !== undefined) return found;
  }
}

function at(value: unknown, path: string): unknown {
  return path.split(".").reduce((inner, key) => Object(inner)[key], value);
}

function show(value: unknown): string {
  return value === undefined ? "not set" : JSON.stringify(value);
}
