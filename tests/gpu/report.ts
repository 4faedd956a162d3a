/** What the checks of a GPU found, as one table. */
import Table from "cli-table3";

/** One line of the table. */
export interface Row {
  /** What was looked at. */
  readonly check: string;
  /** What it is. */
  readonly is: string;
  /** Whether it is as it should be, or was left out; measurements have no verdict. */
  readonly verdict: "ok" | "WRONG" | "skipped" | "";
}

/** A row of something that is right or wrong. */
export function judged(check: string, is: string, isRight: boolean): Row {
  return { check, is, verdict: isRight ? "ok" : "WRONG" };
}

/** The table below a title. */
export function render(title: string, rows: readonly Row[]): string {
  const table = new Table({ head: ["check", "is", "verdict"], style: { head: [], border: [] } });
  table.push(...rows.map(({ check, is, verdict }) => [check, is, verdict]));
  return `${title}\n${table.toString()}`;
}
