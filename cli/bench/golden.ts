/** The check before every number: work that came out wrong has no speed. */
import type { Precision } from "../../ffi/ts/device.ts";

/**
 * Largest relative difference from a recorded loss. Kernels for different instruction sets add f32 numbers in other
 * orders, which moves a loss by a few 1e-6 at most; the updates before it move it by 1e-2, so that an update that is
 * wrong by a few parts in a thousand shows.
 */
const TOLERANCE: Record<Precision, number> = {
  f32: 2e-5,
  bf16: 1e-2, // factors of 8 bits
};

/** A loss or a checksum that is not what was recorded. */
export class GoldenError extends Error {
  /** Process exit code: the run failed. */
  readonly exitCode = 1;

  /** Makes an error that names the case. */
  constructor(name: string, what: string, is: number | string, wanted: string) {
    super(`Cannot report ${name}: ${what} is ${is}, wanted ${wanted}`);
    this.name = "GoldenError";
  }
}

/**
 * Refuses a loss that is not finite or differs from the recorded one.
 *
 * @throws {GoldenError} that names the case and both losses.
 */
export function checkGolden(
  name: string,
  what: string,
  is: number,
  wanted: number,
  precision: Precision = "f32",
): void {
  const tolerance = TOLERANCE[precision];
  if (Math.abs(is - wanted) <= tolerance * Math.abs(wanted)) return;
  throw new GoldenError(name, what, is, `${wanted} within ${tolerance} of it`);
}

/**
 * Refuses another checksum than the recorded one.
 *
 * @throws {GoldenError} that names the case and both.
 */
export function checkSame(name: string, what: string, is: string, wanted: string): void {
  if (is !== wanted) throw new GoldenError(name, what, is, wanted);
}
