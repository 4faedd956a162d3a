/** A golden case: what the published trainer did on a micro model, step by step. */
import type { Plan } from "../../experiments/mod.ts";
import { readAblation } from "./ablation.ts";
import { readArch } from "./arch.ts";
import { Tensors } from "./safetensors.ts";

/** What was measured at a step; a case may leave any of them out. */
export type Metrics = Readonly<Record<string, number | null>>;

/** Where a piece of a published tensor lies in ours: `count` elements of a parameter from `start`. */
export interface Place {
  readonly name: string;
  readonly start: number;
  readonly count: number;
}

/** A case, ready to be run. */
export interface Golden {
  readonly name: string;
  readonly plan: Plan;
  readonly tensors: Tensors;
  readonly metrics: readonly Metrics[];
  /** Of each parameter after the last step; for cases that do not record all of them. */
  readonly summary: Readonly<Record<string, Readonly<Record<"l2" | "mean", number>>>>;
  /** The places of each published parameter, whose elements fill them one after the other. */
  readonly places: ReadonlyMap<string, readonly Place[]>;
}

/** Reads one pair of files: a case of the component ablation names its variant, one of the main experiments does not. */
export async function readGolden(stem: string): Promise<Golden> {
  const json = JSON.parse(await Deno.readTextFile(`${stem}.json`));
  const tensors = new Tensors(await Deno.readFile(`${stem}.safetensors`));
  const name = stem.slice(stem.lastIndexOf("/") + 1);
  const read = "variant" in json ? readAblation : readArch;
  const { metrics, final_summary: summary } = json;
  return { name, tensors, metrics, summary, ...read(json, tensors) };
}
