/** Which experiments a command line means, each resolved before anything is done with any of them. */
import { join, resolve as absolute } from "@std/path";
import { ValidationError } from "@cliffy/command";
import { deviceArguments, type DeviceFlags } from "../device.ts";
import { loadManifest, type Manifest, type Overrides, type Plan, resolve } from "../../experiments/mod.ts";
import { studyEntries, type StudyFilter } from "../../experiments/studies/mod.ts";

/** One experiment to run. */
export interface Selected {
  /** What `bowline train` is given: the name of a preset, or the absolute path of a manifest's file. */
  readonly source: string;
  /** What is asked. */
  readonly manifest: Manifest;
  /** What it resolves to. */
  readonly plan: Plan;
  /** Folder of its run. */
  readonly out: string;
  /** GPUs that the published run of this kind had. */
  readonly gpus: number;
}

/** What is changed in every experiment, where it computes, and where runs are. */
export interface SelectOptions extends Pick<Overrides, "data" | "set">, DeviceFlags {
  /** Folder of all runs. */
  readonly runs: string;
}

/** GPUs of a run of the main experiments; all others have one. */
const MAIN_GPUS = 4;

/**
 * The experiments with these names, or else those of the studies that a filter lets through.
 *
 * @throws {ValidationError} if both or neither are given, or two experiments would share a folder.
 * @throws {ManifestError} if one cannot be used.
 */
export async function select(
  names: readonly string[],
  filter: StudyFilter,
  { runs, set, data }: SelectOptions,
): Promise<Selected[]> {
  const isFiltered = Object.values(filter).some((value) => value !== undefined);
  if (isFiltered === names.length > 0) {
    const is = isFiltered ? "both names and a filter" : "no name and no filter";
    throw new ValidationError(`Cannot select experiments: ${is}, wanted names or --study, --section, --architecture`);
  }
  const main = new Set(studyEntries({ study: "main" }).map(({ name }) => name));
  const sources = isFiltered ? studyEntries(filter).map(({ name }) => name) : names;
  const byFolder = new Map<string, Selected>();
  for (const given of sources) {
    const source = /\.(json|ts)$/.test(given) ? absolute(given) : given;
    const manifest = await loadManifest(source, { set, data });
    const out = join(runs, manifest.name);
    const other = byFolder.get(out);
    if (other) {
      throw new ValidationError(
        `Cannot run ${given}: its folder ${out} is that of ${other.source}, wanted different names`,
      );
    }
    const gpus = main.has(manifest.name) ? MAIN_GPUS : 1;
    byFolder.set(out, { source, manifest, plan: resolve(manifest), out, gpus });
  }
  return [...byFolder.values()];
}

/** The options of `bowline train` that repeat what was changed. */
export function trainArguments(
  { source, out }: Selected,
  { data, set, ...where }: SelectOptions,
  threads?: number,
): string[] {
  return [
    "train",
    source,
    "--out",
    out,
    "--resume",
    ...deviceArguments(where),
    ...(threads === undefined ? [] : ["--threads", String(threads)]),
    ...(set ?? []).flatMap((assignment) => ["--set", assignment]),
    ...(data === undefined ? [] : ["--data", ...data]),
  ];
}
