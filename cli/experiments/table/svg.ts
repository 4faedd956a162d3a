/** The tables as a plot: difference to the baseline against parameters, a panel per baseline. */
import { short } from "../../run/format.ts";
import type { Report, Row } from "./report.ts";

const WIDTH = 860;
/** The plotting area of a panel; labels stand to the right of it. */
const AREA = { left: 70, right: 560, top: 50, height: 300 } as const;
const LABELS = { x: 600, step: 15 } as const;
const BELOW = 60;

/** Okabe and Ito's colours, which stay apart for colour-blind eyes. */
const COLORS: Readonly<Record<string, string>> = {
  alltie: "#d55e00",
  attntie: "#e69f00",
  experttie: "#0072b2",
  attnonly: "#009e73",
};
const OTHER = "#333333";

/** A variant as it is drawn: at least one of the two differences is known. */
interface Point {
  readonly label: string;
  readonly color: string;
  readonly parameters: number;
  readonly delta: number | null;
  readonly error: number | null;
  readonly published: number | null;
}

/** A position for a value. */
type Scale = (value: number) => number;

/** The plot. */
export function svg(report: Report): string {
  const panels: string[] = [];
  let top = 0;
  for (const [baseline, tables] of Map.groupBy(report.tables, (table) => table.baseline)) {
    const points = tables.flatMap(({ rows }) => rows.flatMap(pointOf));
    if (points.length === 0) continue;
    const title = `${report.study} (${tables[0]!.architecture}): ${tables.map(({ section }) => section).join(", ")}`;
    const height = Math.max(AREA.height, points.length * LABELS.step);
    panels.push(`<g transform="translate(0 ${top})">\n${panel(title, baseline, points, height)}\n</g>`);
    top += AREA.top + height + BELOW;
  }
  const legend = `filled: measured, bars: standard error; hollow: published (${report.reference})`;
  return [
    `<svg xmlns="http://www.w3.org/2000/svg" width="${WIDTH}" height="${top + 30}" viewBox="0 0 ${WIDTH} ${
      top + 30
    }" ` +
    `font-family="sans-serif" font-size="12">`,
    `<rect width="100%" height="100%" fill="#ffffff"/>`,
    ...panels,
    words(AREA.left, top + 15, legend),
    `</svg>`,
  ].join("\n");
}

function pointOf(row: Row): Point[] {
  const { label, mode, parameters, delta, deltaError: error, published } = row;
  if (parameters === null || (delta === null && published.delta === null)) return [];
  return [{ label, color: COLORS[mode ?? ""] ?? OTHER, parameters, delta, error, published: published.delta }];
}

function panel(title: string, baseline: string, points: readonly Point[], height: number): string {
  const bottom = AREA.top + height;
  const deltas = points.flatMap(({ delta, error, published }) => [
    ...delta === null ? [] : [delta - (error ?? 0), delta + (error ?? 0)],
    ...published === null ? [] : [published],
  ]);
  const x = axis([0, ...points.map(({ parameters }) => parameters)], AREA.left, AREA.right);
  const y = axis([0, ...deltas], bottom, AREA.top);
  const labels = labelled(points, y.at, height);
  return [
    words(AREA.left, 25, title, `font-size="15"`),
    ...x.ticks.flatMap((tick) => [
      line(x.at(tick), AREA.top, x.at(tick), bottom, "#e5e5e5"),
      words(x.at(tick), bottom + 18, short(tick), `text-anchor="middle"`),
    ]),
    ...y.ticks.flatMap((tick) => [
      line(AREA.left, y.at(tick), AREA.right, y.at(tick), tick === 0 ? "#999999" : "#e5e5e5"),
      words(AREA.left - 8, y.at(tick) + 4, String(tick), `text-anchor="end"`),
    ]),
    words((AREA.left + AREA.right) / 2, bottom + 38, "parameters", `text-anchor="middle"`),
    words(AREA.left, AREA.top - 10, `loss minus that of ${baseline}`),
    ...labels.map(({ point, labelY }) => label(point, x.at, y.at, labelY)),
    ...points.map((point) => mark(point, x.at, y.at)), // after all lines, so that none crosses a mark
  ].join("\n");
}

/** A variant's label, and a line to it from its mark. */
function label({ label, color, parameters, delta, published }: Point, x: Scale, y: Scale, labelY: number): string {
  return [
    line(x(parameters) + 5, y(delta ?? published!), LABELS.x - 4, labelY - 4, "#cccccc"),
    words(LABELS.x, labelY, label, `fill="${color}"`),
  ].join("\n");
}

/** A variant's marks. */
function mark({ color, parameters, delta, error, published }: Point, x: Scale, y: Scale): string {
  const at = x(parameters);
  const circle = (value: number, fill: string) =>
    `<circle cx="${position(at)}" cy="${position(y(value))}" r="4" fill="${fill}" stroke="${color}"/>`;
  return [
    ...published === null ? [] : [circle(published, "none")],
    ...delta === null || error === null ? [] : [line(at, y(delta - error), at, y(delta + error), color)],
    ...delta === null ? [] : [circle(delta, color)],
  ].join("\n");
}

/** Labels in the order of their points, far enough from each other to be read and as near to them as that allows. */
function labelled(points: readonly Point[], y: Scale, height: number): { point: Point; labelY: number }[] {
  const sorted = points
    .map((point) => ({ point, labelY: y(point.delta ?? point.published!) + 4 }))
    .sort((a, b) => a.labelY - b.labelY);
  // Down from the top, each below the one before; then up from the bottom, to bring back what was pushed out.
  let least = AREA.top;
  for (const item of sorted) least = (item.labelY = Math.max(item.labelY, least)) + LABELS.step;
  let most = AREA.top + height;
  for (const item of sorted.toReversed()) most = (item.labelY = Math.min(item.labelY, most)) - LABELS.step;
  return sorted;
}

/** A linear axis over values, with about five round ticks. */
function axis(values: readonly number[], from: number, to: number): { at: Scale; ticks: number[] } {
  const [low, high] = [Math.min(...values), Math.max(...values)];
  const range = high - low || 1;
  const power = 10 ** Math.floor(Math.log10(range / 5));
  const step = power * [1, 2, 5, 10].find((factor) => factor * power >= range / 5)!;
  const [first, last] = [Math.floor(low / step), Math.ceil((low + range) / step)];
  const ticks = Array.from({ length: last - first + 1 }, (_, i) => Number(((first + i) * step).toPrecision(12)));
  const at = (value: number) => from + (to - from) * (value - first * step) / ((last - first) * step);
  return { at, ticks };
}

// --- elements ---

function line(x1: number, y1: number, x2: number, y2: number, color: string): string {
  const [a, b, c, d] = [x1, y1, x2, y2].map(position);
  return `<line x1="${a}" y1="${b}" x2="${c}" y2="${d}" stroke="${color}"/>`;
}

function words(x: number, y: number, text: string, attributes = ""): string {
  const escaped = text.replaceAll("&", "&amp;").replaceAll("<", "&lt;").replaceAll(">", "&gt;");
  return `<text x="${position(x)}" y="${position(y)}"${attributes && ` ${attributes}`}>${escaped}</text>`;
}

/** At most two decimals. */
function position(value: number): string {
  return String(Number(value.toFixed(2)));
}
