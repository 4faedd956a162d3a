/** Tables as text, Markdown and CSV. */
import Table from "cli-table3";
import { STUDY_TASKS } from "../../../experiments/tasks/mod.ts";
import { markdownTable } from "../../markdown.ts";
import { short } from "../../run/format.ts";
import type { Report, Row, Table as Rows } from "./report.ts";

/** A column: its title, its content, and how it is called where it is data. */
interface Column {
  readonly title: string;
  readonly key: string;
  readonly value: (row: Row) => string | number | null;
  readonly show: (value: number) => string;
}

const fixed = (digits: number) => (value: number) => value.toFixed(digits);
const signed = (value: number) => value > 0 ? `+${value.toFixed(3)}` : value.toFixed(3);

const COLUMNS: readonly Column[] = [
  { title: "variant", key: "variant", value: (row) => row.label, show: String },
  { title: "parameters", key: "parameters", value: (row) => row.parameters, show: short },
  { title: "saved", key: "memory_saved", value: (row) => row.memorySaved, show: (value) => `${value.toFixed(1)} %` },
  { title: "runs", key: "runs", value: (row) => row.runs, show: String },
  { title: "loss", key: "loss", value: (row) => row.loss, show: fixed(3) },
  { title: "sd", key: "loss_sd", value: (row) => row.lossSpread, show: fixed(3) },
  { title: "delta", key: "delta", value: (row) => row.delta, show: signed },
  { title: "se", key: "delta_se", value: (row) => row.deltaError, show: fixed(3) },
  { title: "agreement", key: "agreement", value: (row) => row.agreement, show: fixed(3) },
  { title: "set agreement", key: "set_agreement", value: (row) => row.setAgreement, show: fixed(3) },
  ...STUDY_TASKS.map(({ name }): Column => ({
    title: name,
    key: `acc_${name}`,
    value: (row) => row.accuracies?.[name] ?? null,
    show: fixed(1),
  })),
  { title: "accuracy", key: "accuracy", value: (row) => row.accuracy ?? null, show: fixed(1) },
  { title: "paper: loss", key: "published_loss", value: (row) => row.published.loss, show: fixed(3) },
  { title: "paper: delta", key: "published_delta", value: (row) => row.published.delta, show: signed },
  {
    title: "paper: agreement",
    key: "published_agreement",
    value: (row) => row.published.agreement,
    show: (value) => `~${value}`,
  },
  { title: "paper: parameters", key: "published_parameters", value: (row) => row.published.parameters, show: short },
  { title: "paper: accuracy", key: "published_accuracy", value: (row) => row.published.accuracy, show: fixed(1) },
];

/** Tables for a terminal. */
export function text(report: Report): string {
  const tables = report.tables.map((rows) => {
    const [head, ...body] = cells(rows);
    const table = new Table({
      head: head!.map((title) => title.replace(" ", "\n")), // narrow enough for most terminals
      colAligns: head!.map((_, i) => i === 0 ? "left" : "right"),
      style: { head: [], border: [], compact: true },
    });
    table.push(...body);
    return `${heading(report, rows)}\n${table}`;
  });
  return [...tables, legend(report).join("\n"), ...notes(report).map(lines("  "))].join("\n\n");
}

/** Tables for a document. */
export function markdown(report: Report): string {
  const tables = report.tables.map((rows) => `## ${heading(report, rows)}\n\n${markdownTable(cells(rows))}`);
  return [...tables, legend(report).map((line) => `- ${line}`).join("\n"), ...notes(report).map(lines("- ", "\n"))]
    .join("\n\n");
}

/** All rows with all digits, one header. */
export function csv({ study, tables }: Report): string {
  const quoted = (cell: string) => /[",\n]/.test(cell) ? `"${cell.replaceAll('"', '""')}"` : cell;
  const line = (row: readonly unknown[]) => row.map((cell) => quoted(String(cell ?? ""))).join(",");
  return [
    line(["study", "section", "architecture", "baseline", ...COLUMNS.map(({ key }) => key), "runs_of_study"]),
    ...tables.flatMap(({ section, architecture, baseline, rows }) =>
      rows.map((row) =>
        line([study, section, architecture, baseline, ...COLUMNS.map((column) => column.value(row)), row.of])
      )
    ),
  ].join("\n");
}

/** Title and content of the columns that have any. */
function cells({ rows }: Rows): string[][] {
  const columns = COLUMNS.map((column) => [
    column.title,
    ...rows.map((row) => {
      const value = column.value(row);
      if (column.key === "runs") return row.runs === row.of ? String(row.of) : `${row.runs} of ${row.of}`;
      return value === null ? "" : typeof value === "string" ? value : column.show(value);
    }),
  ]).filter(([, ...content]) => content.some((cell) => cell !== ""));
  return columns[0]!.map((_, row) => columns.map((column) => column[row]!));
}

function heading({ study }: Report, { section, architecture, baseline }: Rows): string {
  return `${study}, ${section} (${architecture}), compared with ${baseline}`;
}

function legend({ reference, tables }: Report): string[] {
  const hasAccuracies = tables.some(({ rows }) => rows.some(({ accuracies }) => accuracies !== undefined));
  return [
    "saved: parameters that the baseline has and the variant has not, in percent of the baseline's",
    "loss: final evaluation, mean over seeds; sd: their sample standard deviation",
    "delta: loss minus the baseline's, mean over the seeds that both have; se: its standard error",
    "agreement: share of site pairs of a tied group with the same top-1 expert; set agreement: the public code's measure",
    ...(hasAccuracies
      ? ["accuracy: mean of acc over the six tasks, in percent, as `bowline eval --tasks study` gives it"]
      : []),
    `paper: ${reference}; a mean is shown where only a mean is published`,
  ];
}

/** What the tables cannot say: a title and its lines each. */
function notes({ notFinished, diverged, changed, evaluatedOtherwise }: Report): [title: string, lines: string[]][] {
  const value = (value: unknown) => Object(value) === value ? "of its own" : JSON.stringify(value);
  const all: [string, string[]][] = [
    [`Not finished (${notFinished.length}):`, notFinished.map(({ name, state }) => `${name}: ${state}`)],
    ["Finished with a loss that is not a number:", diverged],
    [
      "Run otherwise than the study says:",
      changed.map((c) => `${c.key || "manifest"}: ${value(c.value)}, runs: ${c.runs}`),
    ],
    ["Evaluated otherwise than the study does:", evaluatedOtherwise.map(({ name, how }) => `${name}: ${how}`)],
  ];
  return all.filter(([, lines]) => lines.length > 0);
}

function lines(bullet: string, gap = "") {
  return ([title, all]: [string, string[]]) => `${title}\n${gap}${all.map((line) => bullet + line).join("\n")}`;
}
