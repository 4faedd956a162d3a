/** A trained model that writes and scores text. */
import { type DeviceInfo, type DeviceOptions, deviceRequest } from "./device.ts";
import { finishJob, type JobOptions } from "./job.ts";
import { core, readJson, utf8 } from "./library.ts";
import type { ScoreReport, ScoreRequest } from "./score.ts";
import { Status } from "./status.ts";

/** How text is generated. */
export interface GenerateOptions {
  /**
   * At most this many tokens.
   *
   * @default {100}
   */
  readonly tokens?: number;
  /**
   * Divides the logits before sampling; 0 always takes the likeliest token.
   *
   * @default {0.8}
   */
  readonly temperature?: number;
  /**
   * Samples among the likeliest tokens that together have this probability.
   *
   * @default {0.95}
   */
  readonly topP?: number;
  /**
   * Seed of the sampling.
   *
   * @default {0}
   */
  readonly seed?: number;
}

/** How a model runs. */
export type ModelOptions = DeviceOptions;

// The core asks for at least 256 bytes per token.
const BUFFER_BYTES = 1024;

/**
 * A model opened for generating.
 *
 * @example Text from a checkpoint
 * ```ts ignore
 * import { Model } from "@bowline/bowline";
 *
 * using model = await Model.open("runs/quickstart/checkpoints/step-00000500");
 * for await (const piece of model.generate("The", { tokens: 20 })) console.log(piece);
 * ```
 */
export class Model implements Disposable {
  readonly #handle: number;

  private constructor(handle: number) {
    this.#handle = handle;
  }

  /**
   * Loads the model of a checkpoint folder.
   *
   * @param folder The checkpoint folder.
   * @param options How to run.
   */
  static async open(folder: string, options: ModelOptions = {}): Promise<Model> {
    const path = utf8(folder);
    const device = utf8(JSON.stringify(deviceRequest(options)));
    const status = new Status();
    const handle = await core().bowline_model_open(path, path.length, device, device.length, status.bytes);
    status.check();
    return new Model(handle);
  }

  /** Where it computes. */
  device(): DeviceInfo {
    return readJson((out, status) => core().bowline_model_device(this.#handle, out, out.length, status));
  }

  /**
   * Continues a text.
   *
   * @param prompt The text to continue.
   * @param options How to choose tokens.
   * @returns The continuation in pieces, as they are made.
   */
  async *generate(prompt: string, options: GenerateOptions = {}): AsyncIterable<string> {
    const request = utf8(JSON.stringify({ prompt, tokens: 100, temperature: 0.8, topP: 0.95, seed: 0, ...options }));
    const created = new Status();
    const generator = core().bowline_generator_new(this.#handle, request, request.length, created.bytes);
    created.check();
    try {
      while (true) {
        const out = new Uint8Array(BUFFER_BYTES);
        const status = new Status();
        const length = await core().bowline_generator_next(generator, 1, out, out.length, status.bytes);
        status.check();
        if (length === 0) return;
        yield new TextDecoder().decode(out.subarray(0, length));
      }
    } finally {
      core().bowline_free(generator);
    }
  }

  /**
   * Scores continuations of contexts, and whole texts.
   *
   * @param request What to score and how it becomes tokens.
   * @param options Progress and cancellation.
   */
  score(request: ScoreRequest, options: JobOptions = {}): Promise<ScoreReport> {
    const text = utf8(JSON.stringify(request));
    return finishJob((status) => core().bowline_score_new(this.#handle, text, text.length, status), options);
  }

  /** Frees the model; harmless when repeated. */
  [Symbol.dispose](): void {
    core().bowline_free(this.#handle);
  }
}
