/** Runs the program as users do, in a process of its own, on a model and a text that take well under a second. */
import { join } from "@std/path";

/** The program. */
export const MAIN = new URL("../../cli/main.ts", import.meta.url).pathname;
/** Permissions that it has in tests. */
export const FLAGS = [
  "run",
  "--quiet",
  "--no-prompt",
  "--allow-read",
  "--allow-write",
  "--allow-ffi",
  "--allow-env",
  "--allow-sys=hostname",
  `--allow-run=${Deno.execPath()}`, // `experiments run` starts the program once more
];

/** How a program ended. */
export interface Outcome {
  readonly code: number;
  readonly stdout: string;
  readonly stderr: string;
}

/** A manifest of the smallest model that has all parts: 4 sites, the middle 2 share a bank of 8 experts. */
export const micro = {
  name: "micro",
  model: { family: "olmoe", vocab: 320, width: 32, layers: 4, heads: 2, experts: 8, topK: 2, expertWidth: 16 },
  tie: { groupSize: 2, skipFirst: 1, skipLast: 1 },
  train: { steps: 20, batch: 2, seqLen: 16, warmupSteps: 4 },
  data: { heldOut: { kind: "tail", fraction: 0.05 } },
  checkpoint: { every: 5, keep: 3 },
  eval: { every: 10, batches: 4 },
};

/** A temporary folder with a text, a manifest that trains on it, and a cache; removed at the end of the test. */
export class Workspace implements AsyncDisposable {
  /** The folder. */
  readonly path: string;
  /** The manifest's file. */
  readonly manifest: string;
  /** The text's file. */
  readonly text: string;
  /** Further variables of the environment of what is started. */
  readonly env: Record<string, string> = {};

  private constructor(path: string) {
    this.path = path;
    this.manifest = this.at("micro.json");
    this.text = this.at("text.txt");
  }

  /** Makes a workspace. */
  static async make(): Promise<Workspace> {
    const workspace = new Workspace(await Deno.makeTempDir());
    await Deno.writeTextFile(workspace.text, words(4000));
    await workspace.write("micro.json", { ...micro, data: { ...micro.data, files: [workspace.text] } });
    return workspace;
  }

  /** A path in the folder. */
  at(...names: string[]): string {
    return join(this.path, ...names);
  }

  /** Writes a JSON file and returns its path. */
  async write(name: string, value: unknown): Promise<string> {
    await Deno.writeTextFile(this.at(name), JSON.stringify(value));
    return this.at(name);
  }

  /** Starts the program in the folder. */
  start(...args: string[]): Deno.ChildProcess {
    return this.#spawn(Deno.execPath(), [...FLAGS, MAIN, ...args]);
  }

  /** Starts the program in the folder, in a process group of its own, whose number is its process id. */
  startGroup(...args: string[]): Deno.ChildProcess {
    return this.#spawn(Deno.execPath(), [...FLAGS, MAIN, ...args], true);
  }

  /** Runs the program in the folder. */
  run(...args: string[]): Promise<Outcome> {
    return finish(this.start(...args));
  }

  /** Runs the program in the folder with more variables in its environment. */
  runWith(variables: Record<string, string>, ...args: string[]): Promise<Outcome> {
    return finish(this.#spawn(Deno.execPath(), [...FLAGS, MAIN, ...args], false, variables));
  }

  /** Runs the program in the folder, where it can write no file of more than `kilobytes`. */
  runLimited(kilobytes: number, ...args: string[]): Promise<Outcome> {
    const script = `trap "" XFSZ; ulimit -f ${kilobytes}; exec "$@"`;
    return finish(this.#spawn("bash", ["-c", script, "bash", Deno.execPath(), ...FLAGS, MAIN, ...args]));
  }

  #spawn(
    command: string,
    args: string[],
    detached = false,
    variables: Record<string, string> = {},
  ): Deno.ChildProcess {
    const env = { BOWLINE_CACHE: this.at("cache"), NO_COLOR: "1", ...this.env, ...variables };
    const options = { args, cwd: this.path, env, detached, stdout: "piped", stderr: "piped" } as const;
    return new Deno.Command(command, options).spawn();
  }

  /** Trains the micro model into a folder; fails the test if that fails. */
  async train(out: string, ...args: string[]): Promise<Outcome> {
    const outcome = await this.run("train", this.manifest, "--out", out, ...args);
    if (outcome.code !== 0) throw new Error(`training failed with ${outcome.code}: ${outcome.stderr}`);
    return outcome;
  }

  /** The tensors of a run's checkpoint, as bytes. */
  async tensors(out: string, step: number): Promise<Uint8Array[]> {
    const folder = this.at(out, "checkpoints", stepFolder(step));
    const files = ["model.safetensors", "optimizer.safetensors"];
    return await Promise.all(files.map((file) => Deno.readFile(join(folder, file))));
  }

  /** The steps of a run's checkpoints, oldest first. */
  checkpoints(out: string): string[] {
    return [...Deno.readDirSync(this.at(out, "checkpoints"))].map((entry) => entry.name).sort();
  }

  /** The events that a run recorded. */
  async events(out: string): Promise<Event[]> {
    return parseEvents(await Deno.readTextFile(this.at(out, "events.jsonl")));
  }

  /** Waits until a run has recorded a step, but not for ever. */
  async recorded(out: string, step: number): Promise<void> {
    for (let attempt = 0; attempt < 4000; attempt++) {
      try {
        const text = await Deno.readTextFile(this.at(out, "events.jsonl"));
        if (text.includes(`"type":"step","step":${step},`)) return;
      } catch (error) {
        if (!(error instanceof Deno.errors.NotFound)) throw error;
      }
      await new Promise((resolve) => setTimeout(resolve, 5));
    }
  }

  /** Removes the folder. */
  async [Symbol.asyncDispose](): Promise<void> {
    await Deno.remove(this.path, { recursive: true });
  }
}

/** Waits for a program and returns how it ended. */
export async function finish(child: Deno.ChildProcess): Promise<Outcome> {
  const { code, stdout, stderr } = await child.output();
  const text = new TextDecoder();
  return { code, stdout: text.decode(stdout), stderr: text.decode(stderr) };
}

/** What tests read of an event. */
export interface Event {
  readonly type: string;
  readonly step: number;
  readonly [field: string]: unknown;
}

/** The events in JSON lines. */
export function parseEvents(lines: string): Event[] {
  return lines.trimEnd().split("\n").map((line) => JSON.parse(line));
}

/** The name of a checkpoint's folder. */
export function stepFolder(step: number): string {
  return `step-${String(step).padStart(8, "0")}`;
}

/** A text of `count` words that repeats itself enough to be learned, and always the same. */
export function words(count: number): string {
  const syllables = ["ba", "ke", "lo", "mi", "nu", "ra", "se", "ti"];
  let state = 1;
  const next = (n: number) => (state = (state * 48271) % 0x7fffffff) % n;
  const word = () => Array.from({ length: 1 + next(3) }, () => syllables[next(syllables.length)]).join("");
  return Array.from({ length: count }, word).join(" ");
}
