/** Ctrl-C and SIGTERM: the first asks for a stop at the next safe point, the second ends the program at once. */

/** Exit code of an interrupted program. */
export const INTERRUPTED = 130;

const SIGNALS: readonly Deno.Signal[] = Deno.build.os === "windows" ? ["SIGINT"] : ["SIGINT", "SIGTERM"];

/** Listens for interruptions until it is disposed. */
export class Interrupt implements Disposable {
  readonly #stop = new AbortController();
  readonly #listener = () => {
    if (this.#stop.signal.aborted) Deno.exit(INTERRUPTED);
    this.#stop.abort();
  };

  /** Starts to listen. */
  constructor() {
    for (const signal of SIGNALS) Deno.addSignalListener(signal, this.#listener);
  }

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
    for (const signal of SIGNALS) Deno.removeSignalListener(signal, this.#listener);
  }
}
