/** The report for people. */
import Table from "cli-table3";
import { number, percent } from "./numbers.ts";
import { compare, footnote } from "./reference.ts";
import type { BenchReport, CaseReport, OpReport } from "./report.ts";

/** Tables of cases and operations; a table without rows is left out. */
export function render(report: BenchReport): string {
  const { probe, cases, ops } = report;
  const comparisons = new Map(compare(report).map((comparison) => [comparison.name, comparison]));
  const beside = (row: CaseReport) => {
    const found = comparisons.get(row.name);
    return [number(found?.scaled ?? null), found ? `${found.ratio.toFixed(2)}x` : ""];
  };
  const parts = [
    `FMA probe: one thread ${number(probe.one_gflops)} GFLOP/s, all threads ${number(probe.all_gflops)} GFLOP/s`,
  ];
  if (cases.length > 0) {
    const head = [...CASE_COLUMNS.map(([title]) => title), "reference", "ratio"];
    parts.push(table(head, cases.map((row) => [row.name, ...cells(CASE_COLUMNS.slice(1), row), ...beside(row)])));
  }
  if (comparisons.size > 0) parts.push(footnote);
  if (ops.length > 0) {
    const head = ["op", "model", "shape", ...OP_COLUMNS.map(([title]) => title)];
    parts.push(table(head, ops.map((row) => [row.op, row.model, row.shape, ...cells(OP_COLUMNS, row)]), 3));
  }
  return parts.join("\n");
}

/** Title and content of a column of numbers. */
type Column<Row> = readonly [title: string, cell: (row: Row) => string];

const CASE_COLUMNS: readonly Column<CaseReport>[] = [
  ["case", (row) => row.name],
  ["tokens/s", (row) => number(row.tokens_per_s)],
  ["step ms", (row) => number(row.step_ms)],
  ["forward", (row) => number(row.forward_ms)],
  ["backward", (row) => number(row.backward_ms)],
  ["optimizer", (row) => number(row.optimizer_ms)],
  ["GFLOP/s", (row) => number(row.gflops)],
  ["of probe", (row) => percent(row.share)],
  ["peak MB", (row) => number(row.peak_mb)],
];

const OP_COLUMNS: readonly Column<OpReport>[] = [
  ["ms", (row) => number(row.ms)],
  ["GFLOP/s", (row) => number(row.gflops)],
  ["GB/s", (row) => number(row.gb_per_s)],
  ["of probe", (row) => percent(row.share)],
];

function cells<Row>(columns: readonly Column<Row>[], row: Row): string[] {
  return columns.map(([, cell]) => cell(row));
}

/** A table whose first `words` columns are words; numbers stand to the right. */
function table(head: string[], rows: string[][], words = 1): string {
  const colAligns = head.map((_, i) => i < words ? "left" as const : "right" as const);
  const table = new Table({ head, colAligns, style: { head: [], border: [], compact: true } });
  table.push(...rows);
  return table.toString();
}
