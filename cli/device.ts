/** The options that say where to compute, the same in every command that does. */
import { EnumType } from "@cliffy/command";
import { type Device, type DeviceInfo, DEVICES, type Precision, PRECISIONS } from "../ffi/ts/device.ts";

/** What was asked for; undefined leaves it to the command. */
export interface DeviceFlags {
  readonly device?: Device | undefined;
  readonly precision?: Precision | undefined;
}

/** The type `device` of a command. */
export const deviceType = new EnumType(DEVICES);

/** The type `precision` of a command. */
export const precisionType = new EnumType(PRECISIONS);

/** The option `--device` of a command that computes on the CPU unless told. */
export const DEVICE = deviceOption("cpu");

/** The option `--device` of a command with another default. */
export function deviceOption(otherwise: string) {
  const help = `Where to compute (default: ${otherwise}); auto takes a GPU where there is one.`;
  return ["--device <device:device>", help] as const;
}

/** The option `--precision`. */
export const PRECISION = [
  "--precision <precision:precision>",
  "Matrix products: bf16 factors with f32 sums on a GPU, or f32 (default: bf16 on cuda and cuda-emulated, f32 on cpu).",
] as const;

/** The options as a child process takes them. */
export function deviceArguments({ device, precision }: DeviceFlags): string[] {
  return [
    ...(device === undefined ? [] : ["--device", device]),
    ...(precision === undefined ? [] : ["--precision", precision]),
  ];
}

/** What there is to say of a device that was asked for as `auto`; null where it was not, or there is a GPU. */
export function fallbackOf({ fallback }: Pick<DeviceInfo, "fallback">): string | null {
  return fallback === null ? null : `computing on the CPU: ${fallback}`;
}
