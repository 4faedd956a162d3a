/** Sums in order, as Python's up to 3.11, and what is made of them. */

/** The sum. */
export function sum(values: readonly number[]): number {
  return values.reduce((total, value) => total + value, 0);
}

/** The arithmetic mean. */
export function mean(values: readonly number[]): number {
  return sum(values) / values.length;
}

/** exp(-mean): the perplexity of log-likelihoods. */
export function perplexity(values: readonly number[]): number {
  return Math.exp(-mean(values));
}

/** The sample standard deviation. */
export function standardDeviation(values: readonly number[]): number {
  const center = mean(values);
  return Math.sqrt(sum(values.map((value) => (value - center) ** 2)) / (values.length - 1));
}
