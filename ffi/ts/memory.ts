/** How much memory training takes, before it takes any. */
import type { Plan } from "../../experiments/plan.ts";
import { type DeviceInfo, type DeviceOptions, deviceRequest } from "./device.ts";
import { core, readJson, utf8 } from "./library.ts";

/** Bytes on a device, by part. */
export interface Memory {
  /** Parameters, each bank once. */
  readonly weights: number;
  /** Gradients, each bank once. */
  readonly gradients: number;
  /** Moments of Muon and AdamW. */
  readonly optimizer: number;
  /** What the backward pass of a micro-step reads of its forward pass. */
  readonly activations: number;
  /** Keys and values of a text in progress; 0 in training. */
  readonly cache: number;
  /** Buffers whose content does not outlive a site, and the residual stream. */
  readonly scratch: number;
  /** What operations keep for themselves: the largest of their needs. */
  readonly working: number;
  /** The moments of all processes, when one of several saves or loads a checkpoint in the memory that it computes in. */
  readonly gathered: number;
  /** Sum of the above. */
  readonly total: number;
}

/** Memory that may be used. */
export interface Room {
  /** Bytes. */
  readonly bytes: number;
  /** Whose it is, such as `free on NVIDIA H100`. */
  readonly is: string;
}

/** What training takes, and what there is. */
export interface MemoryReport {
  /** What it takes. */
  readonly needed: Memory;
  /** What there is, where that is bounded: on a GPU that is here, or by BOWLINE_MEMORY_LIMIT. */
  readonly room: Room | null;
  /** Whether it fits, as far as that is known. */
  readonly fits: boolean;
  /** The smallest change of the manifest that makes it fit, and the bytes it takes then. */
  readonly change: { readonly settings: readonly string[]; readonly total: number } | null;
  /** The fewest processes, more than one, that share the batch and each fit into as much; bytes of each. */
  readonly processes: { readonly count: number; readonly total: number } | null;
  /** The device; null where it is not here. */
  readonly device: DeviceInfo | null;
  /** Why it is not here. */
  readonly missing: string | null;
}

/** The memory that a {@linkcode Trainer} of this plan allocates, to the byte, without allocating it. */
export function planMemory(plan: Plan, options: DeviceOptions = {}): MemoryReport {
  const request = utf8(JSON.stringify({ plan: JSON.stringify(plan), device: deviceRequest(options) }));
  return readJson((out, status) => core().bowline_memory(request, request.length, out, out.length, status));
}
