/** A golden case: what the published trainer did on a micro model, step by step. */
import type { Plan } from "../../experiments/mod.ts";
import { Tensors } from "./safetensors.ts";

/** What was measured at a step; a case may leave any of them out. */
export type Metrics = Readonly<Record<string, number | null>>;

/** Where a published tensor lies in ours: a whole parameter, or `count` elements of it from `start`. */
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
  /** Evaluates after every so many steps, and at the end. */
  readonly evalEvery: number;
  /** The place of each published parameter. */
  readonly places: ReadonlyMap<string, Place>;
}

/** Reads one pair of files with the reader of its kind. */
export async function readGolden(
  stem: string,
  // deno-lint-ignore no-explicit-any -- a foreign program's JSON; the readers take what they need
  read: (json: any, tensors: Tensors) => { plan: Plan; places: ReadonlyMap<string, Place> },
): Promise<Golden> {
  const json = JSON.parse(await Deno.readTextFile(`${stem}.json`));
  const tensors = new Tensors(await Deno.readFile(`${stem}.safetensors`));
  const name = stem.slice(stem.lastIndexOf("/") + 1);
  return { name, tensors, metrics: json.metrics, evalEvery: json.eval_every, ...read(json, tensors) };
}
