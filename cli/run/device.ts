/** Where a run computes: as asked, or where it did before; and what there is to say of that. */
import { join } from "@std/path";
import type { DeviceInfo, DeviceOptions } from "../../ffi/ts/device.ts";
import type { Memory, Room } from "../../ffi/ts/memory.ts";
import type { DeviceFlags } from "../device.ts";
import { bytes } from "./format.ts";

/** The device and precision that a run had. */
export type Where = Pick<DeviceInfo, "name" | "precision">;

/** What the environment.json of a run folder says of its device; runs that say nothing were on the CPU. */
export async function recordedDevice(folder: string): Promise<Where> {
  let device: Partial<DeviceInfo> | undefined;
  try {
    ({ device } = JSON.parse(await Deno.readTextFile(join(folder, "environment.json"))));
  } catch (error) {
    if (!(error instanceof Deno.errors.NotFound)) throw error; // an imported run has none
  }
  return { name: device?.name ?? "cpu", precision: device?.precision ?? "f32" };
}

/** Where to compute: what was asked counts, then what the run had before, as far as the device can do it. */
export function choose({ device, precision }: DeviceFlags, before: Where | undefined): DeviceOptions {
  const name = device ?? before?.name;
  const mayBeCpu = name === undefined || name === "cpu" || name === "auto";
  const kept = mayBeCpu && before?.precision === "bf16" ? undefined : before?.precision;
  return { device: name, precision: precision ?? kept };
}

/** What a run that goes on must be warned of; null where it goes on as it was. */
export function changeOf(before: Where, now: Where): string | null {
  if (before.name === now.name && before.precision === now.precision) return null;
  const text = ({ name, precision }: Where) => `${name} in ${precision}`;
  return `going on on ${text(now)}, before it was ${
    text(before)
  }: from here on the run is close to the same, not equal`;
}

/** `memory on cpu: 12.3 MB (weights 1.2 MB, ...); 8.0 GB are free on ...`. */
export function describeMemory({ total, ...parts }: Memory, room: Room | null, device: string): string {
  const held = Object.entries(parts).filter(([, size]) => size > 0).map(([name, size]) => `${name} ${bytes(size)}`);
  const available = room === null ? "" : `; ${bytes(room.bytes)} are ${room.is}`;
  return `memory on ${device}: ${bytes(total)} (${held.join(", ")})${available}`;
}
