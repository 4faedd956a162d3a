/** What is kept of an evaluation: which tasks are finished, under which settings, and the files that the harness writes. */
import { join } from "@std/path";
import { ValidationError } from "@cliffy/command";
import { dumps } from "../../experiments/harness/python.ts";
import type { DeviceInfo, Precision } from "../../ffi/ts/device.ts";
import { resultsFile, type Setup, type TaskResult } from "../../experiments/harness/results.ts";

const STATE_FILE = "eval.json";
const FORMAT = 1;

/** What is asked, and how. */
export interface AskedSettings {
  readonly shots: number;
  readonly seed: number;
  readonly limit: number | null;
  readonly bootstrapIterations: number;
  readonly tokenization: "joint" | "split";
  readonly bos: "auto" | "always" | "never";
}

/** What must be the same for finished tasks to be kept. */
export interface Settings extends AskedSettings {
  readonly device: DeviceInfo["name"];
  readonly precision: Precision;
}

/** Where evaluations computed before they recorded it. */
const UNRECORDED = { device: "cpu", precision: "f32" } as const;

interface State {
  readonly format: number;
  /** SHA-256 of the weights. */
  readonly checkpoint: string;
  readonly settings: Settings;
  /** When it was begun; part of the names of files. */
  readonly date: string;
  readonly tasks: readonly TaskResult[];
}

/** The folder of `--out`. Nothing is written before a task is finished. */
export class Store {
  readonly #folder: string;
  #state: State;

  private constructor(folder: string, state: State) {
    this.#folder = folder;
    this.#state = state;
  }

  /**
   * Opens a folder that is new, empty, or holds an evaluation of the same checkpoint with the same settings.
   *
   * @throws {ValidationError} if it holds anything else.
   */
  static async open(folder: string, checkpoint: string, settings: Settings): Promise<Store> {
    const fresh: State = { format: FORMAT, checkpoint, settings, date: new Date().toISOString(), tasks: [] };
    let stored: State;
    try {
      stored = JSON.parse(await Deno.readTextFile(join(folder, STATE_FILE)));
    } catch (error) {
      if (error instanceof Deno.errors.NotFound && await isEmpty(folder)) return new Store(folder, fresh);
      if (error instanceof SyntaxError) throw refused(folder, `its ${STATE_FILE} is damaged`);
      if (error instanceof Deno.errors.NotADirectory) throw refused(folder, "it is a file");
      if (error instanceof Deno.errors.NotFound) throw refused(folder, "it holds other files");
      throw error;
    }
    if (stored.format !== FORMAT) throw refused(folder, `its format is ${stored.format}, ${FORMAT} is known`);
    if (stored.checkpoint !== checkpoint) throw refused(folder, "it holds an evaluation of another checkpoint");
    const kept = { ...UNRECORDED, ...stored.settings };
    for (const key of Object.keys(settings) as (keyof Settings)[]) {
      if (kept[key] !== settings[key]) {
        throw refused(folder, `${key} is ${settings[key]}, there it is ${kept[key]}`);
      }
    }
    return new Store(folder, stored);
  }

  /** When the evaluation was begun. */
  get date(): Date {
    return new Date(this.#state.date);
  }

  /** All finished tasks. */
  get tasks(): readonly TaskResult[] {
    return this.#state.tasks;
  }

  /**
   * A task that is finished.
   *
   * @throws {ValidationError} if it was asked other questions.
   */
  finished(name: string, requestsHash: string): TaskResult | undefined {
    const found = this.#state.tasks.find((task) => task.name === name);
    if (found === undefined || found.requestsHash === requestsHash) return found;
    throw refused(this.#folder, `the questions of ${name} are others than those that were asked there`);
  }

  /** Writes the samples of a task, and that it is finished. */
  async add(result: TaskResult, samples: readonly string[]): Promise<void> {
    await Deno.mkdir(this.#folder, { recursive: true });
    await this.#place(`samples_${result.name}_${this.#stamp()}.jsonl`, samples);
    this.#state = { ...this.#state, tasks: [...this.#state.tasks, result] };
    await this.#place(STATE_FILE, [`${JSON.stringify(this.#state, null, 2)}\n`]);
  }

  /** Writes the results of all finished tasks. */
  async finish(setup: Setup): Promise<void> {
    await this.#place(`results_${this.#stamp()}.json`, [dumps(resultsFile(this.#state.tasks, setup), { indent: 2 })]);
  }

  /** The date as names of files have it. */
  #stamp(): string {
    return this.#state.date.replace("Z", "").replaceAll(":", "-");
  }

  async #place(name: string, parts: readonly string[]): Promise<void> {
    const path = join(this.#folder, name);
    await Deno.writeTextFile(`${path}.tmp`, ReadableStream.from(parts));
    await Deno.rename(`${path}.tmp`, path);
  }
}

async function isEmpty(folder: string): Promise<boolean> {
  try {
    const entries = await Array.fromAsync(Deno.readDir(folder));
    return entries.every(({ name }) => name.endsWith(".tmp"));
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return true;
    throw error;
  }
}

function refused(folder: string, is: string): ValidationError {
  return new ValidationError(
    `Cannot evaluate into ${folder}: ${is}, wanted a new folder or one of the same checkpoint and settings`,
  );
}
