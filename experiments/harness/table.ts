/** The table that the harness prints. */

/** A line of it. */
export interface Line {
  readonly task: string;
  readonly version: number;
  readonly shots: number;
  readonly metric: string;
  readonly isHigherBetter: boolean;
  readonly value: number;
  /** Null where there is none. */
  readonly error: number | null;
}

type Cell = number | string;

const HEAD = ["Tasks", "Version", "Filter", "n-shot", "Metric", "", "Value", "", "Stderr"];
const NO_ERROR = "   N/A";

/** Tasks by their names, metrics by theirs; a task is named in the first of its lines. */
export function table(lines: readonly Line[]): string {
  const order = (a: string, b: string) => a < b ? -1 : a > b ? 1 : 0;
  const sorted = lines.toSorted((a, b) => order(a.task, b.task) || order(a.metric, b.metric));
  const rows = sorted.map(({ task, version, shots, metric, isHigherBetter, value, error }, i): Cell[] => {
    const isFirst = sorted[i - 1]?.task !== task;
    const arrow = isHigherBetter ? "↑" : "↓";
    const deviation = error === null ? NO_ERROR : rounded(error);
    return [isFirst ? task : "", isFirst ? version : "", "none", shots, metric, arrow, rounded(value), "±", deviation];
  });
  const columns = HEAD.map((head, i) => column(head, rows.map((row) => row[i]!)));
  return columns[0]!.map((_, line) => `|${columns.map((cells) => cells[line]).join("|")}|`).join("\n");
}

/** `f"{value:.4f}"` as a number: a value that lies between two goes to the even one. */
function rounded(value: number): number {
  if (!Number.isFinite(value)) return value;
  const [, down] = /^(-?\d+\.\d{3}[02468])50*$/.exec(value.toFixed(60)) ?? [];
  return Number(down ?? value.toFixed(4));
}

/** Head, rule and cells of a column. Numbers have as many digits as the one that needs most, and stand to the right. */
function column(head: string, cells: readonly Cell[]): string[] {
  const numbers = cells.filter((cell) => typeof cell === "number");
  const digits = Math.max(0, ...numbers.map((number) => String(number).split(".")[1]?.length ?? 0));
  const isNumeric = numbers.length > 0 && cells.every((cell) => typeof cell === "number" || cell === "");
  const texts = cells.map((cell) => typeof cell === "number" ? show(cell, digits) : cell);
  const width = Math.max(3, head.length, ...texts.map((text) => text.length));
  const left = Math.floor((width - head.length) / 2);
  return [
    head.padStart(left + head.length).padEnd(width),
    isNumeric ? `${"-".repeat(width - 1)}:` : "-".repeat(width),
    ...texts.map((text, i) => isNumeric || typeof cells[i] === "number" ? text.padStart(width) : text.padEnd(width)),
  ];
}

function show(value: number, digits: number): string {
  if (Number.isNaN(value)) return "NaN";
  return Number.isFinite(value) ? value.toFixed(digits) : value > 0 ? "Infinity" : "-Infinity";
}
