/** Numbers as people read them. */

const THOUSANDS = new Intl.NumberFormat("en-US", { maximumFractionDigits: 0 });
const SHORT = new Intl.NumberFormat("en-US", { notation: "compact", maximumSignificantDigits: 3 });

/** `12,345`. */
export function whole(value: number): string {
  return THOUSANDS.format(value);
}

/** `2.72M`. */
export function short(value: number): string {
  return SHORT.format(value);
}

/** `2h 05m`, `3m 20s` or `12s`. */
export function duration(seconds: number): string {
  const s = Math.round(seconds);
  const two = (n: number) => String(n).padStart(2, "0");
  if (s >= 3600) return `${Math.floor(s / 3600)}h ${two(Math.floor(s % 3600 / 60))}m`;
  return s >= 60 ? `${Math.floor(s / 60)}m ${two(s % 60)}s` : `${s}s`;
}

/** `12.3 GB`, in decimal units. */
export function bytes(size: number): string {
  const units = [[1e12, "TB"], [1e9, "GB"], [1e6, "MB"], [1e3, "kB"]] as const;
  const [unit, name] = units.find(([unit]) => size >= unit) ?? [1, "B"];
  return unit === 1 ? `${size} B` : `${(size / unit).toFixed(1)} ${name}`;
}
