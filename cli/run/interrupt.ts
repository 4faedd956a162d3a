/**
 * Ctrl-C and its like: the first asks for a stop at the next safe point, a second Ctrl-C ends the program at once. The
 * end of a process that this one works for asks for a stop, too.
 */

/** Exit code of an interrupted program. */
export const INTERRUPTED = 130;

// A terminal that closes says SIGHUP, perhaps after a Ctrl-C that ended what stood between it and this program: that is
// no second Ctrl-C.
const SIGNALS: readonly Deno.Signal[] = Deno.build.os === "windows" ? ["SIGINT"] : ["SIGINT", "SIGTERM", "SIGHUP"];

/** How often to look whether the parent still lives, while a long call runs. */
const LOOK_MS = 200;

/** Listens for interruptions until it is disposed. */
export class Interrupt implements Disposable {
  readonly #stop = new AbortController();
  readonly #listeners = SIGNALS.map((signal) => {
    const listen = () => {
      if (this.#stop.signal.aborted && signal !== "SIGHUP") Deno.exit(INTERRUPTED);
      this.#stop.abort();
    };
    Deno.addSignalListener(signal, listen);
    return { signal, listen };
  });
  #parent: number | undefined;
  #timer: ReturnType<typeof setInterval> | undefined;

  /** Whether a stop was asked for. */
  get isRequested(): boolean {
    this.#look();
    return this.#stop.signal.aborted;
  }

  /** Calls `action` when a stop is asked for. */
  onRequest(action: () => void): void {
    this.#stop.signal.addEventListener("abort", action);
  }

  /** Takes the end of the parent process `pid` as an interruption: nobody else may be left to ask for one. */
  follow(pid: number): void {
    this.#parent = pid;
    this.#timer = setInterval(() => this.#look(), LOOK_MS);
  }

  #look(): void {
    // A process whose parent has ended is given another one.
    if (this.#parent !== undefined && Deno.ppid !== this.#parent) this.#stop.abort();
  }

  /** Stops listening, so that Ctrl-C ends the program as usual. */
  [Symbol.dispose](): void {
    clearInterval(this.#timer);
    for (const { signal, listen } of this.#listeners) Deno.removeSignalListener(signal, listen);
  }
}
