/** Medians and ratios. Pure. */
import type { Row, Summary } from "./bench.ts";

/** Of an even number of values, the mean of the two in the middle. Throws RangeError when there are none. */
export function summarize(values: readonly number[]): Summary {
  const sorted = values.toSorted((a, b) => a - b);
  const upper = sorted[Math.floor(sorted.length / 2)];
  const lower = sorted[Math.floor((sorted.length - 1) / 2)];
  const [min, max] = [sorted[0], sorted.at(-1)];
  if (upper === undefined || lower === undefined || min === undefined || max === undefined) {
    throw new RangeError("There is no median of no values.");
  }
  return { median: (lower + upper) / 2, min, max };
}

/** The least value that so many percent of the values do not exceed (nearest rank). Throws RangeError without values. */
export function percentile(values: readonly number[], percent: number): number {
  const sorted = values.toSorted((a, b) => a - b);
  const found = sorted[Math.max(0, Math.ceil((percent / 100) * sorted.length) - 1)];
  if (found === undefined) throw new RangeError("There is no percentile of no values.");
  return found;
}

/**
 * How many times as good as the baseline, by medians: over 1 is better, whether more or less of the measure is.
 * Undefined when one of them has no value or the divisor is 0.
 */
export function ratio(row: Row, contender: string, baseline: string): number | undefined {
  const own = row.values[contender]?.median;
  const other = row.values[baseline]?.median;
  if (own === undefined || other === undefined) return undefined;
  const [dividend, divisor] = row.better === "higher" ? [own, other] : [other, own];
  return divisor === 0 ? undefined : dividend / divisor;
}

/** True when the ranges of two contenders meet: such a difference may be chance. */
export function overlaps(row: Row, contender: string, other: string): boolean {
  const [a, b] = [row.values[contender], row.values[other]];
  return a !== undefined && b !== undefined && a.min <= b.max && b.min <= a.max;
}
