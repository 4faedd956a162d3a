/** `deno task docs:bench`: puts the recorded benchmark into the README, between its marks. */
import { fail } from "../errors.ts";
import { markdownTable } from "../markdown.ts";
import { number, percent } from "./numbers.ts";
import type { BenchRecord } from "./record.ts";
import { compare } from "./reference.ts";
import { reached } from "./targets.ts";

/** The record that the README shows. */
export const RECORD = new URL("../../experiments/records/bench/two-cores.json", import.meta.url);

/** The document. */
export const README = new URL("../../README.md", import.meta.url);

const [BEGIN, END] = ["<!-- deno task docs:bench -->", "<!-- end of docs:bench -->"];

/**
 * The document with the record's tables in place of those between its marks.
 *
 * @throws {Error} if it has no marks.
 */
export function withRecord(document: string, record: BenchRecord): string {
  const [begin, end] = [document.indexOf(BEGIN), document.indexOf(END)];
  if (begin < 0 || end < begin) throw new Error(`Cannot write the tables: wanted the marks ${BEGIN} and ${END}`);
  const parts = [BEGIN, describe(record), casesTable(record), targetsTable(record), END];
  return document.slice(0, begin) + parts.join("\n\n") + document.slice(end + END.length);
}

/** A line short enough that `deno fmt` does not break it. */
function describe({ machine, rounds, probe }: BenchRecord): string {
  const { date, cores, processor, core, load } = machine;
  return `Medians of ${rounds} rounds on ${date.slice(0, 10)}: ${cores} cores, ${processor}, ${core.isa}; ` +
    `probe ${number(probe.all_gflops)} GFLOP/s; load of other work ${number(load)}.`;
}

function casesTable(record: BenchRecord): string {
  const scaled = new Map(compare(record).map((one) => [one.name, one]));
  const rows = record.cases.map((row) => {
    const reference = scaled.get(row.name);
    return [
      row.name,
      ...[row.tokens_per_s, row.step_ms].map(number),
      percent(row.share),
      number(row.peak_mb),
      reference ? `${number(reference.scaled)} (${reference.ratio.toFixed(1)}x)` : "",
    ];
  });
  return markdownTable([["case", "tokens/s", "step ms", "of probe", "peak MB", "published trainer, scaled"], ...rows]);
}

function targetsTable(record: BenchRecord): string {
  const rows = reached(record).map(({ name, what, wanted, isMost, is, isReached }) => [
    `${name}: ${what}`,
    `${isMost ? "at most" : "at least"} ${number(wanted)}`,
    is === null ? "not measured" : number(is),
    is === null ? "" : isReached ? "yes" : "no",
  ]);
  return markdownTable([["target", "wanted", "is", "reached"], ...rows]);
}

if (import.meta.main) {
  try {
    const record: BenchRecord = JSON.parse(await Deno.readTextFile(RECORD));
    await Deno.writeTextFile(README, withRecord(await Deno.readTextFile(README), record));
  } catch (error) {
    fail(error);
  }
}
