/** One run, in a process of its own whose messages go to a file in the run's folder. */
import { join } from "@std/path";
import { TextLineStream } from "@std/streams";
import { LOG_FILE } from "../run/folder.ts";
import { INTERRUPTED } from "../run/interrupt.ts";
import { thisProgram } from "./program.ts";

/** There, signals cannot be sent, only be had from the terminal, which sends them to all. */
const isWindows = Deno.build.os === "windows";

/** How a process ended. */
export interface Ending {
  /** Its exit code, or 130 if it was told to stop and did. */
  readonly code: number;
  /** Its last word: an error if there was one. */
  readonly reason: string;
}

/** A run in progress. */
export class Child {
  readonly #process: Deno.ChildProcess;
  readonly #log: Deno.FsFile;
  #isStopping = false;
  #lastLine = "";
  #error: string | undefined;

  /** Starts this program with these arguments; `out` is the run's folder, which exists. */
  constructor(args: readonly string[], out: string) {
    this.#log = Deno.openSync(join(out, LOG_FILE), { create: true, append: true });
    const [command, ...first] = thisProgram();
    this.#process = new Deno.Command(command!, {
      args: [...first, ...args, "--parent", String(Deno.pid)],
      stdin: "null",
      stdout: "null",
      stderr: "piped",
      // Ctrl-C in a terminal is for the parent, which passes it on: two signals would mean to end without a checkpoint.
      detached: !isWindows,
    }).spawn();
  }

  /** The newest line that the process wrote. */
  get lastLine(): string {
    return this.#lastLine;
  }

  /** Asks the process to save a checkpoint and end. */
  stop(): void {
    this.#isStopping = true;
    if (!isWindows) this.#process.kill("SIGTERM");
  }

  /** Keeps its messages, calling `onLine` after each, and waits for its end. */
  async end(onLine: () => void): Promise<Ending> {
    using log = this.#log;
    const encoder = new TextEncoder();
    const lines = this.#process.stderr.pipeThrough(new TextDecoderStream()).pipeThrough(new TextLineStream());
    for await (const line of lines) {
      await write(log, encoder.encode(`${line}\n`));
      this.#lastLine = line;
      if (line.startsWith("error: ")) this.#error = line.slice("error: ".length);
      onLine();
    }
    const { code, signal } = await this.#process.status;
    // Before it listens for signals, a process is ended by them.
    if (this.#isStopping && signal !== null) return { code: INTERRUPTED, reason: "interrupted" };
    const last = signal === null ? `ended with exit code ${code}` : `ended by ${signal}`;
    return { code, reason: this.#error ?? last };
  }
}

async function write(file: Deno.FsFile, bytes: Uint8Array): Promise<void> {
  for (let at = 0; at < bytes.length;) at += await file.write(bytes.subarray(at));
}
