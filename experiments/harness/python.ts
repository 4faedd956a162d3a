/** What the evaluation harness takes from Python, so that texts and hashes are the same: white space, str, json, floats. */

/** A Python float, where it matters that it is one: 1.0 is not 1 in a hash. */
export class Float {
  /** Its value. */
  readonly value: number;

  /** Marks a number as a float. */
  constructor(value: number) {
    this.value = value;
  }
}

/** A value of JSON that knows ints from floats. */
export type Value = string | number | bigint | boolean | null | Float | readonly Value[] | Row;

/** A JSON object, its keys in the order of the file. */
export interface Row {
  /** A column. */
  readonly [key: string]: Value;
}

/** Parses JSON: a number with a point or an exponent becomes a {@linkcode Float}, an int that is too large a bigint. */
export function parse(text: string): Value {
  return JSON.parse(text, (_key, value, context: { source?: string } = {}) => {
    const { source } = context;
    if (typeof value !== "number" || source === undefined) return value;
    if (/[.eE]/.test(source)) return new Float(value);
    return Number.isSafeInteger(value) ? value : BigInt(source);
  });
}

/** How `json.dumps` lays a value out. */
export interface Layout {
  /** Spaces by which each level is indented; all in one line if undefined. */
  readonly indent?: number;
  /** No spaces at all. */
  readonly isCompact?: boolean;
}

/** `json.dumps(value, ensure_ascii=False)`. */
export function dumps(value: Value, layout: Layout = {}, level = 0): string {
  if (value instanceof Float) return float(value.value, { inf: "Infinity", nan: "NaN" });
  if (typeof value !== "object") return typeof value === "bigint" ? String(value) : JSON.stringify(value);
  if (value === null) return "null";
  const colon = layout.isCompact ? ":" : ": ";
  const isList = Array.isArray(value);
  const parts = isList
    ? value.map((inner: Value) => dumps(inner, layout, level + 1))
    : Object.entries(value).map(([key, inner]) => JSON.stringify(key) + colon + dumps(inner, layout, level + 1));
  const [open, close] = isList ? "[]" : "{}";
  if (parts.length === 0 || layout.indent === undefined) {
    return open + parts.join(layout.isCompact ? "," : ", ") + close;
  }
  const line = (depth: number) => `\n${" ".repeat(layout.indent! * depth)}`;
  return open + line(level + 1) + parts.join(`,${line(level + 1)}`) + line(level) + close;
}

/** `str(x)` of a float. */
export function floatText(value: number): string {
  return float(value, { inf: "inf", nan: "nan" });
}

/** The shortest digits, as in JavaScript; exponents below 1e-4 and from 1e16 on, of two digits at least. */
function float(value: number, { inf, nan }: { inf: string; nan: string }): string {
  if (Number.isNaN(value)) return nan;
  if (!Number.isFinite(value)) return value > 0 ? inf : `-${inf}`;
  if (value === 0) return Object.is(value, -0) ? "-0.0" : "0.0";
  const [mantissa, exponent] = value.toExponential().split("e") as [string, string];
  const power = Number(exponent);
  if (power < -4 || power >= 16) {
    return `${mantissa}e${power < 0 ? "-" : "+"}${String(Math.abs(power)).padStart(2, "0")}`;
  }
  if (power >= 0) return Number.isInteger(value) ? `${BigInt(value)}.0` : String(value);
  const digits = mantissa.replace("-", "").replace(".", "");
  return `${value < 0 ? "-" : ""}0.${"0".repeat(-power - 1)}${digits}`;
}

// What `str.isspace` calls white space: JavaScript's \s without U+FEFF, and six control characters.
const SPACE = "[\\t-\\r\\x1c-\\x20\\x85\\xa0\\u1680\\u2000-\\u200a\\u2028\\u2029\\u202f\\u205f\\u3000]";
const LEFT = new RegExp(`^${SPACE}+`);
const RIGHT = new RegExp(`${SPACE}+$`);
const RUNS = new RegExp(`${SPACE}+`);

/** `text.lstrip()`. */
export function lstrip(text: string): string {
  return text.replace(LEFT, "");
}

/** `text.strip()`. */
export function strip(text: string): string {
  return lstrip(text).replace(RIGHT, "");
}

/** `len(re.split(r"\s+", text))`. */
export function countWords(text: string): number {
  return text.split(RUNS).length;
}

/** `len(text)`: code points. */
export function length(text: string): number {
  return [...text].length;
}

/** Characters whose title case is neither their upper case nor that with small letters behind it, or are it already. */
const TITLES: readonly string[] = [
  "\u01c4\u01c6\u01c5",
  "\u01c7\u01c9\u01c8",
  "\u01ca\u01cc\u01cb",
  "\u01f1\u01f3\u01f2",
];

/** The title case of a character. */
function title(character: string): string {
  const three = TITLES.find((three) => character !== "" && three.includes(character));
  if (three !== undefined) return three[2]!;
  if (/^[\u10d0-\u10ff]$/.test(character)) return character; // Georgian has capitals, but no title case
  const upper = character.toUpperCase();
  if (character === "\u0149") return upper;
  // In Greek the iota that is written below a letter stays there.
  if (/^[\u1f80-\u1ffc]$/.test(character) && /.\u0399$/.test(upper)) return `${upper.slice(0, -1)}\u0345`.normalize();
  const [initial = "", ...more] = upper;
  return initial + more.join("").toLowerCase();
}

/** `text.capitalize()`: the first character in title case, all others in lower case. */
export function capitalize(text: string): string {
  const [first = ""] = text;
  // Lowered as a whole: how a sigma is written depends on what stands around it.
  return title(first) + text.toLowerCase().slice(first.toLowerCase().length);
}
