/** Makes a table: collects or reads the results, and writes what was asked for. */
import { ValidationError } from "@cliffy/command";
import { studyEntries, type StudyFilter } from "../../../experiments/studies/mod.ts";
import { collect } from "./collect.ts";
import { readRecord, recordText, type StudyRecord } from "./record.ts";
import { neededEntries, type Report, report } from "./report.ts";
import { svg } from "./svg.ts";
import { csv, markdown, text } from "./text.ts";

/** What to make. */
export interface TableRequest {
  /** A folder of runs, or the file of a record. */
  readonly source: { readonly runs: string } | { readonly record: string };
  /** Which entries. */
  readonly filter: StudyFilter;
  /** How it is written. */
  readonly format: keyof typeof FORMATS;
  /** Whether accuracies are shown. */
  readonly withEval: boolean;
  /** Where to save the record. */
  readonly saveRecord: string | undefined;
  /** Where to write; stdout if undefined. */
  readonly out: string | undefined;
}

const FORMATS = { text, markdown, csv, svg, json: (report: Report) => JSON.stringify(report, null, 2) };

/**
 * Writes a table.
 *
 * @throws {ManifestError} if there is no such study, section or architecture.
 * @throws {ValidationError} if a run or a record cannot be used.
 */
export async function makeTable(
  { source, filter, format, withEval, saveRecord, out }: TableRequest,
): Promise<void> {
  const record = "record" in source
    ? await recorded(source.record, filter)
    : await collected(source.runs, filter, withEval);
  const output = FORMATS[format](report(record, filter, withEval));
  if (saveRecord !== undefined) await write(saveRecord, recordText(record));
  if (out === undefined) console.log(output);
  else await write(out, `${output}\n`);
}

async function collected(runs: string, filter: StudyFilter, withEval: boolean): Promise<StudyRecord> {
  const { study } = studyEntries({ study: filter.study ?? "ablation" })[0]!;
  return await collect(study, neededEntries({ ...filter, study }), runs, withEval);
}

async function recorded(path: string, filter: StudyFilter): Promise<StudyRecord> {
  const record = await readRecord(path);
  const { study } = record;
  if (filter.study !== undefined && filter.study !== study) {
    studyEntries(filter);
    throw new ValidationError(`Cannot use ${path}: it is a record of ${study}, wanted one of ${filter.study}`);
  }
  const known = new Set(studyEntries({ study }).map(({ name }) => name));
  const names = record.runs.map(({ name }) => name);
  const unknown = names.find((name) => !known.has(name));
  if (unknown !== undefined) {
    throw new ValidationError(`Cannot use ${path}: ${unknown} is no run of ${study}, wanted runs of this study`);
  }
  if (!studyEntries({ ...filter, study }).some(({ name }) => names.includes(name))) {
    throw new ValidationError(`Cannot use ${path}: it has no run of this selection, wanted a record that has`);
  }
  return record;
}

async function write(path: string, content: string): Promise<void> {
  try {
    await Deno.writeTextFile(path, content);
  } catch (error) {
    const is = error instanceof Deno.errors.NotFound
      ? "its folder does not exist"
      : error instanceof Deno.errors.IsADirectory
      ? "it is a folder"
      : undefined;
    if (is === undefined) throw error;
    throw new ValidationError(`Cannot write ${path}: ${is}, wanted a file`);
  }
}
