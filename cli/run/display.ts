/** What people see of a run, on stderr: lines, and below them one progress line that rewrites itself on a terminal. */
import type { Stats } from "../../ffi/ts/stats.ts";

const REFRESH_MS = 100;
/** Where lines cannot be rewritten, a progress line is printed after this many steps or seconds. */
const EVERY_STEPS = 10;
const EVERY_SECONDS = 10;

/** The part of stderr that belongs to a run. */
export class Display {
  readonly #isQuiet: boolean;
  readonly #isTerminal = Deno.stderr.isTerminal();
  #progress = "";
  #lastStep = 0;
  #lastTime = 0;

  /** Makes a display; a quiet one shows no progress, but still prints lines. */
  constructor(isQuiet: boolean) {
    this.#isQuiet = isQuiet;
  }

  /** Prints a line above the progress line. */
  line(text: string): void {
    this.#write(this.#progress === "" ? `${text}\n` : `\r\x1b[K${text}\n${this.#progress}`);
  }

  /** Shows how far the run is. */
  step(step: number, text: string): void {
    if (this.#isTerminal) return this.#show(text);
    const now = performance.now() / 1000;
    const isDue = step >= this.#lastStep + EVERY_STEPS || now >= this.#lastTime + EVERY_SECONDS;
    if (this.#isQuiet || (this.#lastStep > 0 && !isDue)) return;
    [this.#lastStep, this.#lastTime] = [step, now];
    this.line(text);
  }

  /** Shows the progress of one long call while it runs. */
  async during<T>(what: string, stats: Stats, call: Promise<T>): Promise<T> {
    if (!this.#isTerminal || this.#isQuiet) return await call;
    const before = this.#progress;
    const timer = setInterval(() => this.#show(`${what} ${Math.floor(100 * stats.read("progress"))}%`), REFRESH_MS);
    try {
      return await call;
    } finally {
      clearInterval(timer);
      this.#show(before);
    }
  }

  /** Shows a text as the progress line, where there is one: it is too fleeting to be printed. */
  status(text: string): void {
    this.#show(text);
  }

  /** Removes the progress line. */
  clear(): void {
    this.#show("");
  }

  #show(text: string): void {
    if (this.#isQuiet || !this.#isTerminal || text === this.#progress) return;
    this.#progress = text.slice(0, columns() - 1);
    this.#write(`\r\x1b[K${this.#progress}`);
  }

  #write(text: string): void {
    const bytes = new TextEncoder().encode(text);
    try {
      for (let at = 0; at < bytes.length;) at += Deno.stderr.writeSync(bytes.subarray(at));
    } catch {
      // The terminal or the reader is gone. Nobody watches any more, which is no reason for a run to fail.
    }
  }
}

/** Width of the terminal; 80 where it does not know, or has been closed. */
function columns(): number {
  try {
    return Deno.consoleSize().columns || 80;
  } catch {
    return 80;
  }
}
