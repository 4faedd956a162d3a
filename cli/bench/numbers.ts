/** Numbers as the tables of the benchmarks show them. */

const WHOLE = new Intl.NumberFormat("en-US", { maximumFractionDigits: 0 });
const SHORT = new Intl.NumberFormat("en-US", { maximumSignificantDigits: 3 });

/** Three digits, or all before the point; empty for what is unknown. */
export function number(value: number | null): string {
  return value === null ? "" : (value >= 1000 ? WHOLE : SHORT).format(value);
}

/** A share in percent; empty for what is unknown. */
export function percent(share: number | null): string {
  return share === null ? "" : `${(100 * share).toFixed(0)} %`;
}
