/** Studies: lists of runs that make a table together, with the published results beside them. */
import { ManifestError } from "../errors.ts";
import { ablation, ablationMeans, nano } from "./ablation.ts";
import { type PublishedMean, STUDIES, type Study, type StudyEntry } from "./entry.ts";
import { main } from "./main.ts";

export { type Published, type PublishedMean, STUDIES, type Study, type StudyEntry } from "./entry.ts";
export { REFERENCE } from "./published.ts";

/** Which entries are wanted; what is left out does not matter. */
export interface StudyFilter {
  /** A name of `STUDIES`. */
  study?: string | undefined;
  /** An architecture of the study. */
  architecture?: string | undefined;
  /** A section of the study. */
  section?: string | undefined;
}

const entries: Readonly<Record<Study, readonly StudyEntry[]>> = { ablation, main, nano };

/**
 * The entries of all studies that a filter lets through, in the order in which they are run.
 *
 * @throws {ManifestError} for a value that no entry has, with those that there are.
 */
export function studyEntries(filter: StudyFilter = {}): StudyEntry[] {
  let found = STUDIES.flatMap((study) => entries[study]);
  for (const key of ["study", "architecture", "section"] as const) {
    const value = filter[key];
    if (value === undefined) continue;
    const kept = found.filter((entry) => entry[key] === value);
    if (kept.length === 0) {
      const known = [...new Set(found.map((entry) => entry[key]))];
      throw new ManifestError(`Cannot find ${key} ${value}: no such name, wanted ${known.join(", ")}`);
    }
    found = kept;
  }
  return found;
}

/** What is published of a study as means over several runs. */
export function publishedMeans(study: Study): readonly PublishedMean[] {
  return study === "main" ? [] : ablationMeans[study];
}
