/** The record of a run: one JSON object per line, in the order things happened. */
import { TextLineStream } from "@std/streams";
import type { DeviceInfo } from "../../ffi/ts/device.ts";
import type { Memory } from "../../ffi/ts/memory.ts";
import type { DataInfo, SourceInfo } from "../../ffi/ts/data.ts";
import type { StatValues } from "../../ffi/ts/stats.ts";

/** Something that happened in a run; `step` counts completed optimizer steps. NaN is written as null. */
export type RunEvent =
  | {
    type: "start";
    step: number;
    name: string;
    steps: number;
    threads: number;
    device: DeviceInfo["name"];
    precision: DeviceInfo["precision"];
    isa: string;
    data: DataInfo;
    /** The checkpoint whose weights the run started with, unless they were drawn. */
    from?: string;
  }
  /** Bytes that the run takes on its device; `available` is null where that is not bounded. */
  | { type: "memory"; step: number; available: number | null } & Memory
  | ReturnType<typeof stepEvent>
  | ReturnType<typeof evalEvent>
  | ReturnType<typeof dataEvent>
  | { type: "checkpoint"; step: number; path: string }
  | { type: "warning"; step: number; message: string }
  | { type: "sample"; step: number; prompt: string; text: string }
  | { type: "end"; step: number; reason: "complete" | "steps" | "interrupted" | "failed"; seconds: number };

/** The event of an optimizer step that took `tokens` tokens. */
export function stepEvent(stats: StatValues, tokens: number) {
  return {
    type: "step" as const,
    step: stats.step,
    loss: stats.loss,
    lm_loss: stats.lmLoss,
    balance: stats.balance,
    z: stats.z,
    grad_norm: stats.gradNorm,
    lr_muon: stats.lrMuon,
    lr_adamw: stats.lrAdamw,
    tokens: stats.tokens,
    tokens_per_s: tokens / stats.stepSeconds,
    ...routing(stats),
    epochs: stats.epochs,
  };
}

/** The event of an evaluation after `step` steps. */
export function evalEvent(stats: StatValues, step: number) {
  return {
    type: "eval" as const,
    step,
    loss: stats.evalLoss,
    perplexity: Math.exp(stats.evalLoss),
    bits_per_byte: stats.evalBitsPerByte,
    tokens: stats.evalTokens,
    balance: stats.balance,
    z: stats.z,
    ...routing(stats),
  };
}

/** The event of what was read of each source up to `step`, and what was left out. */
export function dataEvent(sources: readonly SourceInfo[], step: number) {
  return {
    type: "data" as const,
    step,
    sources: sources.map(({ name, epochs, documents, short, empty, bad }) => ({
      name,
      epochs,
      documents,
      short,
      empty,
      bad,
    })),
  };
}

/** What the routers did: of a step's tokens, or of the held-out ones. */
function routing(stats: StatValues) {
  return {
    routing_entropy: stats.routingEntropy,
    max_expert_share: stats.maxExpertShare,
    dead_expert_share: stats.deadExpertShare,
    max_logit: stats.maxLogit,
    agreement: stats.agreement,
    set_agreement: stats.setAgreement,
    imbalance: stats.imbalance,
  };
}

/** Whether a record is that of a run which came to its end, and did nothing after it. */
export function isComplete(events: readonly RunEvent[]): boolean {
  return events.findLast((event) => event.type === "end")?.reason === "complete";
}

/** How a run's log is opened. */
export interface EventLogOptions {
  /** Completed steps. */
  readonly step: number;
  /** Steps at which the run ends. */
  readonly steps: number;
  /** Whether events go to stdout, too. */
  readonly isEchoed: boolean;
}

/** Writes events to a file, and to stdout if wanted. */
export class EventLog implements Disposable {
  /** None where another process records the run. */
  readonly #file: Deno.FsFile | undefined;
  readonly #isEchoed: boolean;
  /** What was recorded before. */
  readonly before: readonly RunEvent[];

  private constructor(file: Deno.FsFile | undefined, before: readonly RunEvent[], isEchoed: boolean) {
    this.#file = file;
    this.before = before;
    this.#isEchoed = isEchoed;
  }

  /**
   * Opens the log of a run that goes on after `step`: what was recorded after it will happen again, so it is dropped,
   * and so is a line that was cut when the program was killed. The last evaluation belongs to the end of a run, `steps`:
   * where only that is left to do, it will happen again.
   */
  static async open(path: string, { step, steps, isEchoed }: EventLogOptions): Promise<EventLog> {
    const isAhead = (event: RunEvent) =>
      event.step > step || (step === steps && event.step === step && event.type === "eval");
    const kept = (await readEvents(path)).filter((event) => !isAhead(event));
    const temporary = `${path}.tmp`;
    await Deno.writeTextFile(temporary, kept.map((event) => `${JSON.stringify(event)}\n`).join(""));
    await Deno.rename(temporary, path);
    return new EventLog(await Deno.open(path, { append: true }), kept, isEchoed);
  }

  /** A log that keeps nothing, of a run that another process records. */
  static elsewhere(): EventLog {
    return new EventLog(undefined, [], false);
  }

  /** Records an event. */
  write(event: RunEvent): void {
    if (this.#file === undefined) return;
    const line = JSON.stringify(event);
    const bytes = new TextEncoder().encode(`${line}\n`);
    for (let at = 0; at < bytes.length;) at += this.#file.writeSync(bytes.subarray(at));
    if (this.#isEchoed) console.log(line);
  }

  /** Closes the file. */
  [Symbol.dispose](): void {
    this.#file?.close();
  }
}

/** The events of a file in order; none if there is no file. A line that is not whole is left out. */
export async function readEvents(path: string): Promise<RunEvent[]> {
  let file: Deno.FsFile;
  try {
    file = await Deno.open(path);
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return [];
    throw error;
  }
  const lines = await Array.fromAsync(
    file.readable.pipeThrough(new TextDecoderStream()).pipeThrough(new TextLineStream()),
  );
  return lines.filter((line) => line.endsWith("}")).map((line) => JSON.parse(line));
}
