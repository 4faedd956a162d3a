/** Where the core computes: the processor, a GPU, or the emulator of one, and where the kernel libraries of the latter are. */
import { dirname, join } from "@std/path";
import { corePath } from "./library.ts";

/** All devices; `auto` takes a GPU where there is one, else the CPU. */
export const DEVICES = ["cpu", "cuda", "cuda-emulated", "auto"] as const;

/** A device by name. */
export type Device = typeof DEVICES[number];

/** The device that was opened. */
export interface DeviceInfo {
  /** What it is. */
  readonly name: Exclude<Device, "auto">;
  /** The card, where it is one. */
  readonly card: string | null;
  /** Why `auto` took the CPU, where it did. */
  readonly fallback: string | null;
}

/** A device as the core takes it. */
export interface DeviceRequest {
  /** What is wanted. */
  readonly name: Device;
  /** Where kernel libraries are looked for: beside the core, and where they are built. */
  readonly folders: readonly string[];
  /** Whether the processes of a launcher train together. */
  readonly parallel: boolean;
}

/** The request for a device. */
export function deviceRequest(name: Device, parallel: boolean): DeviceRequest {
  const here = import.meta.dirname;
  const folders = [dirname(corePath()), ...(here ? [join(here, "..", "..", "kernels", "build")] : [])];
  return { name, folders, parallel };
}
