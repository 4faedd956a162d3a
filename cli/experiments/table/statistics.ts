/** Sums of few numbers. An unknown number, null, makes the result unknown. */

type Numbers = readonly (number | null)[];

/** The arithmetic mean; null of none. */
export function mean(values: Numbers): number | null {
  return isKnown(values) && values.length > 0 ? values.reduce((a, b) => a + b, 0) / values.length : null;
}

/** The sample standard deviation; null of fewer than two. */
export function spread(values: Numbers): number | null {
  if (!isKnown(values) || values.length < 2) return null;
  const center = mean(values)!;
  return Math.sqrt(values.reduce((sum, value) => sum + (value - center) ** 2, 0) / (values.length - 1));
}

/** Six decimals, which hides the last bits of sums and shows more than a loss means. */
export function rounded(value: number | null): number | null {
  return value === null ? null : Number(value.toFixed(6)) + 0; // + 0: no negative zero
}

function isKnown(values: Numbers): values is readonly number[] {
  return !values.includes(null);
}
