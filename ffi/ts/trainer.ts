/** A model in training. */
import type { Plan } from "../../experiments/plan.ts";
import type { DataInfo, DataRequest } from "./data.ts";
import { type DeviceInfo, type DeviceOptions, deviceRequest } from "./device.ts";
import { core, readJson, utf8 } from "./library.ts";
import type { Memory, Room } from "./memory.ts";
import type { Ranks } from "./place.ts";
import { Stats, type StatValues } from "./stats.ts";
import { BowlineError, Status } from "./status.ts";

/** A parameter of the model; tied banks appear once. */
export interface Parameter {
  /** Name in checkpoints: bank and part. */
  readonly name: string;
  /** Length of each axis. */
  readonly shape: readonly number[];
  /** Which optimizer steps it. */
  readonly optimizer: "muon" | "adamw";
}

/** How a trainer runs. */
export interface TrainerOptions extends DeviceOptions {
  /**
   * Whether the processes that a launcher (torchrun, mpirun, srun) started train together, this one among them. All then
   * make the same calls in the same order, `leave` last.
   *
   * @default {false}
   */
  readonly parallel?: boolean;
  /**
   * Whether a run is to go on, whose plan cannot be changed: what does not fit into memory is told another remedy.
   *
   * @default {false}
   */
  readonly isResuming?: boolean;
}

/**
 * Trains the model of a plan. Long calls run outside the JavaScript thread, one at a time.
 *
 * @example One step on tokens of one's own
 * ```ts
 * import { manifest, nano, resolve, Trainer } from "@bowline/bowline";
 *
 * const { model, train } = nano;
 * const plan = resolve(manifest({ ...nano, train: { ...train, batch: 1, seqLen: 8 } }));
 * using trainer = new Trainer(plan);
 * const tokens = Int32Array.from({ length: 9 }, (_, i) => i % model.vocab);
 * const { loss } = await trainer.stepTokens(tokens);
 * console.assert(loss > 0);
 * ```
 */
export class Trainer implements Disposable {
  /** Numbers of the running call, written while it runs. */
  readonly stats: Stats = new Stats();
  readonly #handle: number;
  readonly #vocab: number;
  #isBusy = false;

  /**
   * Allocates the model and draws its first weights.
   *
   * @param plan The resolved plan.
   * @param options How to run.
   * @throws {BowlineError} if the device is not here, or has not enough memory: what would fit is said.
   */
  constructor(plan: Plan, options: TrainerOptions = {}) {
    this.#vocab = plan.model.vocab;
    const text = utf8(JSON.stringify(plan));
    const status = new Status();
    const { parallel = false, isResuming: resuming = false } = options;
    const device = utf8(JSON.stringify(deviceRequest(options, { parallel, resuming })));
    this.#handle = core().bowline_trainer_new(text, text.length, device, device.length, status.bytes);
    status.check();
  }

  /** Where it computes. */
  device(): DeviceInfo {
    return this.#read((id, out, status) => core().bowline_trainer_device(id, out, out.length, status));
  }

  /** The memory that it takes there, and what there was before it did. */
  memory(): { readonly needed: Memory; readonly room: Room | null } {
    return this.#read((id, out, status) => core().bowline_trainer_memory(id, out, out.length, status));
  }

  /** Its place among the processes that train together. */
  ranks(): Ranks {
    return this.#read((id, out, status) => core().bowline_trainer_ranks(id, out, out.length, status));
  }

  /** Ends training for all processes together; the trainer is only to be disposed then. */
  async leave(): Promise<void> {
    await this.#run((id, status) => core().bowline_trainer_leave(id, status));
  }

  /** Tells the other processes that this one cannot go on, which ends them; does nothing where there are none, or no more. */
  fail(reason: string): void {
    const text = utf8(reason);
    const status = new Status();
    core().bowline_trainer_fail(this.#idle(), text, text.length, status.bytes);
    status.check();
  }

  /** Reads, tokenizes and cuts the training data, or finds that in the cache. */
  async attachData(request: DataRequest): Promise<DataInfo> {
    const text = utf8(JSON.stringify(request));
    await this.#run((id, status) =>
      core().bowline_trainer_attach_data(id, text, text.length, this.stats.block, status)
    );
    return this.dataInfo();
  }

  /** What the attached data is and, where it is streamed, what was read of it so far. */
  dataInfo(): DataInfo {
    return this.#read((id, out, status) => core().bowline_trainer_data_info(id, out, out.length, status));
  }

  /** One optimizer step on the attached data. */
  step(): Promise<StatValues> {
    return this.#run((id, status) => core().bowline_trainer_step(id, this.stats.block, status));
  }

  /**
   * One optimizer step on the given tokens.
   *
   * @param tokens Token ids, (accumulation, B, S+1): each row's last S are the targets of its first S.
   */
  stepTokens(tokens: Int32Array<ArrayBuffer>): Promise<StatValues> {
    return this.#run((id, status) =>
      core().bowline_trainer_step_tokens(id, tokens, tokens.length, this.stats.block, status)
    );
  }

  /**
   * Loss on the held-out part of the attached data.
   *
   * @param batches How many batches of it; null means all.
   */
  evaluate(batches: number | null = null): Promise<StatValues> {
    return this.#run((id, status) => core().bowline_trainer_evaluate(id, batches ?? 0, this.stats.block, status));
  }

  /**
   * Loss on the given tokens.
   *
   * @param tokens Token ids, (batches, B, S+1).
   */
  evaluateTokens(tokens: Int32Array<ArrayBuffer>): Promise<StatValues> {
    return this.#run((id, status) =>
      core().bowline_trainer_evaluate_tokens(id, tokens, tokens.length, this.stats.block, status)
    );
  }

  /** Writes a complete checkpoint; the folder appears only when it is whole. */
  async save(folder: string): Promise<void> {
    const path = utf8(folder);
    await this.#run((id, status) => core().bowline_trainer_save(id, path, path.length, status));
  }

  /** Goes back to a checkpoint of the same plan; training continues from it bit for bit. */
  async load(folder: string): Promise<void> {
    const path = utf8(folder);
    await this.#run((id, status) => core().bowline_trainer_load(id, path, path.length, status));
  }

  /** Takes the weights of a checkpoint whose banks and sites are the same; step, optimizer and data stay as they are. */
  async loadWeights(folder: string): Promise<void> {
    const path = utf8(folder);
    await this.#run((id, status) => core().bowline_trainer_load_weights(id, path, path.length, status));
  }

  /**
   * The logits of one sequence, computed as text is generated: token by token, with a cache.
   *
   * @param tokens Token ids (n).
   * @returns The logits (n, V) after each token.
   */
  async logits(tokens: Int32Array<ArrayBuffer>): Promise<Float32Array<ArrayBuffer>> {
    const out = new Float32Array(tokens.length * this.#vocab);
    await this.#run((id, status) => core().bowline_trainer_logits(id, tokens, tokens.length, out, out.length, status));
    return out;
  }

  /** The model's parameters, each bank once. */
  parameters(): readonly Parameter[] {
    return this.#read((id, out, status) => core().bowline_trainer_parameters(id, out, out.length, status));
  }

  /** A copy of a parameter's values. */
  read(name: string): Float32Array<ArrayBuffer> {
    return this.#copy(name, "parameter");
  }

  /** A copy of a parameter's gradient after the last step, clipped. */
  gradient(name: string): Float32Array<ArrayBuffer> {
    return this.#copy(name, "gradient");
  }

  /** Replaces a parameter's values. */
  write(name: string, values: Float32Array<ArrayBuffer>): void {
    const key = utf8(name);
    const status = new Status();
    core().bowline_trainer_write(this.#idle(), key, key.length, values, values.length, status.bytes);
    status.check();
  }

  /** Asks the running call to stop: its promise rejects with the code `cancelled`, and the state is that of the last step. */
  cancel(): void {
    core().bowline_cancel(this.#handle);
  }

  /** Frees the model; harmless when repeated or while a call runs. */
  [Symbol.dispose](): void {
    core().bowline_free(this.#handle);
  }

  #copy(name: string, which: "parameter" | "gradient"): Float32Array<ArrayBuffer> {
    const request = utf8(JSON.stringify({ name, which }));
    const read = (out: Float32Array<ArrayBuffer>) => {
      const status = new Status();
      const count = core().bowline_trainer_read(
        this.#idle(),
        request,
        request.length,
        out,
        out.length,
        status.bytes,
      );
      status.check();
      return count;
    };
    const values = new Float32Array(read(new Float32Array(0)));
    read(values);
    return values;
  }

  #read<T>(fill: (id: number, out: Uint8Array<ArrayBuffer>, status: Uint8Array<ArrayBuffer>) => number): T {
    const id = this.#idle();
    return readJson((out, status) => fill(id, out, status));
  }

  async #run(call: (id: number, status: Uint8Array<ArrayBuffer>) => Promise<number>): Promise<StatValues> {
    const id = this.#idle();
    const status = new Status();
    this.#isBusy = true;
    try {
      await call(id, status.bytes);
    } finally {
      this.#isBusy = false;
    }
    status.check();
    return this.stats.snapshot();
  }

  /** The handle, for a call that may not overlap another. */
  #idle(): number {
    if (this.#isBusy) {
      throw new BowlineError("busy", "Cannot call the trainer: a call is running, wanted none; await it first");
    }
    return this.#handle;
  }
}
