/** Ctrl-C and its like: the first asks for a stop at the next safe point, a second Ctrl-C ends the program at once. */

/** Exit code of an interrupted program. */
export const INTERRUPTED = 130;

// A terminal that closes says SIGHUP, perhaps after a Ctrl-C that ended what stood between it and this program: that is
// no second Ctrl-C.
const SIGNALS: readonly Deno.Signal[] = Deno.build.os === "windows" ? ["SIGINT"] : ["SIGINT", "SIGTERM", "SIGHUP"];

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

  /** Whether a stop was asked for. */
  get isRequested(): boolean {
    return this.#stop.signal.aborted;
  }

  /** Calls `action` when a stop is asked for. */
  onRequest(action: () => void): void {
    this.#stop.signal.addEventListener("abort", action);
  }

  /** Stops listening, so that Ctrl-C ends the program as usual. */
  [Symbol.dispose](): void {
    for (const { signal, listen } of this.#listeners) Deno.removeSignalListener(signal, listen);
  }
}
