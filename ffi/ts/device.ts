/** Where the core computes: the processor, a GPU, or the emulator of one, and where the kernel libraries of the latter are. */
import { dirname, join } from "@std/path";
import { core, corePath, readJson, utf8 } from "./library.ts";

/** All devices; `auto` takes a GPU where there is one, else the CPU. */
export const DEVICES = ["cpu", "cuda", "cuda-emulated", "auto"] as const;

/** A device by name. */
export type Device = typeof DEVICES[number];

/** How factors of matrix products are rounded; sums, weights and all that is kept are f32 in either. */
export const PRECISIONS = ["f32", "bf16"] as const;

/** A precision by name. */
export type Precision = typeof PRECISIONS[number];

/** Where to compute, and how. */
export interface DeviceOptions {
  /**
   * Threads; the result does not depend on them.
   *
   * @default {0} all cores
   */
  readonly threads?: number;
  /**
   * Where to compute. Devices round differently: a run that goes on elsewhere is close to the same run, not equal.
   *
   * @default {"cpu"}
   */
  readonly device?: Device | undefined;
  /**
   * Precision of matrix products: f32 on the CPU, bf16 elsewhere unless told. The CPU has no other than f32.
   */
  readonly precision?: Precision | undefined;
}

/** The device that was opened. */
export interface DeviceInfo {
  /** What it is. */
  readonly name: Exclude<Device, "auto">;
  /** Precision of its matrix products. */
  readonly precision: Precision;
  /** The card, where it is one. */
  readonly card: CardInfo | null;
  /** Why `auto` took the CPU, where it did. */
  readonly fallback: string | null;
}

/** A card as its driver describes it. */
export interface CardInfo {
  /** Its name. */
  readonly name: string;
  /** Bytes of memory. */
  readonly memory: number;
  /** Of these, bytes that were free when it was opened. */
  readonly free: number;
  /** The newest CUDA that its driver knows. */
  readonly driver: string;
}

/**
 * Opens a device, closes it again and says what it is.
 *
 * @throws {BowlineError} with what is missing, if it is not here.
 */
export function deviceInfo(options: DeviceOptions = {}): DeviceInfo {
  const request = utf8(JSON.stringify(deviceRequest(options)));
  return readJson((out, status) => core().bowline_device(request, request.length, out, out.length, status));
}

/** A device as the core takes it. */
export interface DeviceRequest {
  readonly name: Device;
  /** Null: that of the device. */
  readonly precision: Precision | null;
  /** Where kernel libraries are looked for. */
  readonly folders: readonly string[];
  readonly threads: number;
  /** Whether the processes of a launcher train together. */
  readonly parallel: boolean;
  /** Whether a run goes on, whose plan cannot be changed. */
  readonly resuming: boolean;
}

/** A device as the core takes it: kernel libraries are looked for beside the core, and where they are built. */
export function deviceRequest(
  { threads = 0, device = "cpu", precision }: DeviceOptions,
  { parallel = false, resuming = false }: Partial<Pick<DeviceRequest, "parallel" | "resuming">> = {},
): DeviceRequest {
  const here = import.meta.dirname;
  const folders = [dirname(corePath()), ...(here ? [join(here, "..", "..", "kernels", "build")] : [])];
  return { name: device, precision: precision ?? null, folders, threads, parallel, resuming };
}
