/** One trainer in a run's folder at a time: an advisory lock, which the system takes back however its holder ends. */
import { join } from "@std/path";
import { ValidationError } from "@cliffy/command";

/** The file in a run's folder whose lock its trainer holds. It is never removed: others may be waiting for it. */
export const LOCK_FILE = "lock";

/** The lock of a folder, held from `take` or `wait` until it is disposed. */
export class RunLock implements Disposable {
  readonly #folder: string;
  #file: Deno.FsFile | undefined;

  /** Names a folder, whether or not it exists. */
  constructor(folder: string) {
    this.#folder = folder;
  }

  /** Whether the lock is held by this object. */
  get isHeld(): boolean {
    return this.#file !== undefined;
  }

  /**
   * Takes the lock, and creates the folder where there is none.
   *
   * @throws {ValidationError} if another process holds it.
   */
  async take(): Promise<void> {
    if (await this.#try()) return;
    throw new ValidationError(
      `Cannot train in ${this.#folder}: another process is training there, wanted a folder that is free`,
    );
  }

  /** Takes the lock as soon as it is free; calls `onBusy` first if it is not. */
  async wait(onBusy: () => void): Promise<void> {
    if (await this.#try()) return;
    onBusy();
    const file = await this.#open();
    await file.lock(true);
    this.#file = file;
  }

  /** Gives the lock back. */
  [Symbol.dispose](): void {
    this.#file?.close();
    this.#file = undefined;
  }

  async #try(): Promise<boolean> {
    const file = await this.#open();
    if (await file.tryLock(true)) this.#file = file;
    else file.close();
    return this.isHeld;
  }

  async #open(): Promise<Deno.FsFile> {
    await Deno.mkdir(this.#folder, { recursive: true });
    return await Deno.open(join(this.#folder, LOCK_FILE), { create: true, write: true });
  }
}
