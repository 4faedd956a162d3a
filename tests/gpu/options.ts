/** What is checked, where and with what. */
import type { Device } from "../../ffi/ts/device.ts";

/** Precisions of products that are looked at. */
export const PRECISIONS = ["f32", "bf16"] as const;

/** One of them. */
export type Precision = typeof PRECISIONS[number];

/** Where to compute, as trainers take it. */
export interface Place {
  readonly device: Exclude<Device, "auto" | "cpu">;
  readonly precision: Precision;
}

/** What the script was asked for. */
export interface Options {
  /** The device. */
  readonly device: Place["device"];
  /** Its kernel library. */
  readonly library: string;
  /** Sizes that the emulator gets through in seconds, of everything. */
  readonly isMicro: boolean;
  /** Folder of golden cases, or null for none. */
  readonly golden: string | null;
  /** The program of the op tests. */
  readonly ops: string;
}
