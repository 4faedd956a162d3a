/** What people see of an evaluation on stderr, and how they stop it. */
import type { JobOptions } from "../../ffi/ts/job.ts";
import { BowlineError } from "../../ffi/ts/status.ts";
import { Interrupt, INTERRUPTED } from "../run/interrupt.ts";

/** Listens for interruptions and shows progress, until it is disposed. */
export class Watching implements Disposable {
  /** When it began. */
  readonly start: Date = new Date();
  readonly #interrupt = new Interrupt();
  readonly #abort = new AbortController();
  readonly #isTerminal = Deno.stderr.isTerminal();

  /** Listens from now on. */
  constructor() {
    this.#interrupt.onRequest(() => this.#abort.abort());
  }

  /** Tells of an interruption. */
  get signal(): AbortSignal {
    return this.#abort.signal;
  }

  /** Options of a job that is shown as `what`. */
  progress(what: string): JobOptions {
    return { signal: this.signal, onProgress: (done) => this.show(`${what} ${Math.floor(100 * done)}%`) };
  }

  /** Shows a text in place of the one before, where there is a terminal. */
  show(text: string): void {
    if (this.#isTerminal) Deno.stderr.writeSync(new TextEncoder().encode(`\r\x1b[K${text}`));
  }

  /** Prints a line. */
  line(text: string): void {
    this.show("");
    console.error(text);
  }

  /** Lets an interruption come in, and fails with `cancelled` if there is one. */
  async rest(): Promise<void> {
    await new Promise((resolve) => setTimeout(resolve));
    if (this.signal.aborted) throw new BowlineError("cancelled", "Cancelled");
  }

  /** Does something; if it is interrupted, says what became of it and sets the exit code. */
  async untilInterrupted(work: () => Promise<void>, what: string): Promise<void> {
    try {
      await work();
    } catch (error) {
      this.show("");
      if (!(error instanceof BowlineError && error.code === "cancelled")) throw error;
      this.line(`interrupted; ${what}`);
      Deno.exitCode = INTERRUPTED;
    }
  }

  /** Stops listening. */
  [Symbol.dispose](): void {
    this.#interrupt[Symbol.dispose]();
  }
}
