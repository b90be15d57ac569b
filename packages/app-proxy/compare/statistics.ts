/**
 * Intervals for rates of rare events. Nothing here assumes that the event was ever seen: of 0 in n the bound is what is
 * left, about 3/n at 95 % (the rule of three).
 *
 * Sources: C. J. Clopper, E. S. Pearson, Biometrika 26 (1934); R. G. Newcombe, Statistics in Medicine 17 (1998), method
 * 10; the incomplete beta function by W. H. Press et al., Numerical Recipes, §6.4.
 */

export interface RateEstimate {
  readonly count: number;
  readonly of: number;
  /** 0…1; 0 when nothing was looked at. */
  readonly rate: number;
  /** Two-sided exact interval (Clopper-Pearson) of the given confidence. */
  readonly low: number;
  readonly high: number;
  /** One-sided exact bound of the same confidence: the rate is not above it. */
  readonly atMost: number;
}

/** `confidence`: above 0 and below 1, as 0.95. Without observations the interval is everything: 0…1. */
export function estimateRate(count: number, of: number, confidence: number): RateEstimate {
  const tail = (1 - confidence) / 2;
  return {
    count,
    of,
    rate: of === 0 ? 0 : count / of,
    low: lowerBound(count, of, tail),
    high: upperBound(count, of, tail),
    atMost: upperBound(count, of, 1 - confidence),
  };
}

/** The rate above which `count` or fewer of `of` would have a chance below `tail`. */
function upperBound(count: number, of: number, tail: number): number {
  if (count >= of) return 1;
  if (count === 0) return 1 - tail ** (1 / of);
  return betaQuantile(1 - tail, count + 1, of - count);
}

function lowerBound(count: number, of: number, tail: number): number {
  return count === 0 ? 0 : betaQuantile(tail, count, of - count + 1);
}

/** By how much the first rate is above the second: Newcombe's interval, from Wilson's. */
export function rateExcess(
  first: { readonly count: number; readonly of: number },
  second: { readonly count: number; readonly of: number },
  confidence: number,
): { readonly low: number; readonly high: number } {
  if (first.of === 0 || second.of === 0) return { low: -1, high: 1 };
  const z = normalQuantile(1 - (1 - confidence) / 2);
  const one = wilson(first.count, first.of, z);
  const two = wilson(second.count, second.of, z);
  const difference = one.rate - two.rate;
  return {
    low: difference - Math.hypot(one.rate - one.low, two.high - two.rate),
    high: difference + Math.hypot(one.high - one.rate, two.rate - two.low),
  };
}

function wilson(count: number, of: number, z: number): { rate: number; low: number; high: number } {
  const rate = count / of;
  const spread = z * Math.sqrt((rate * (1 - rate)) / of + (z * z) / (4 * of * of));
  const centre = rate + (z * z) / (2 * of);
  const scale = 1 + (z * z) / of;
  return { rate, low: (centre - spread) / scale, high: (centre + spread) / scale };
}

/** Bisection: slow, and cannot miss. */
function quantile(target: number, low: number, high: number, cumulative: (x: number) => number): number {
  let [from, to] = [low, high];
  for (let step = 0; step < 60; step += 1) {
    const middle = (from + to) / 2;
    if (cumulative(middle) < target) from = middle;
    else to = middle;
  }
  return (from + to) / 2;
}

function betaQuantile(target: number, a: number, b: number): number {
  return quantile(target, 0, 1, (x) => incompleteBeta(x, a, b));
}

/** Of the standard normal distribution; `target` above 0 and below 1. */
function normalQuantile(target: number): number {
  return quantile(target, -7, 7, normalCumulative);
}

/** Its Taylor series around 0 (G. Marsaglia, Journal of Statistical Software 11 (2004)). */
function normalCumulative(x: number): number {
  let term = x;
  let sum = x;
  for (let n = 3; Math.abs(term) > 1e-17 && n < 1_000; n += 2) {
    term *= (x * x) / n;
    sum += term;
  }
  return Math.min(1, Math.max(0, 0.5 + (sum * Math.exp((-x * x) / 2)) / Math.sqrt(2 * Math.PI)));
}

/** The regularised incomplete beta function. */
function incompleteBeta(x: number, a: number, b: number): number {
  if (x <= 0) return 0;
  if (x >= 1) return 1;
  const front = Math.exp(logGamma(a + b) - logGamma(a) - logGamma(b) + a * Math.log(x) + b * Math.log1p(-x));
  // The continued fraction is quick on this side of the mean only; the function is symmetric.
  if (x < (a + 1) / (a + b + 2)) return (front * continuedFraction(x, a, b)) / a;
  return 1 - (front * continuedFraction(1 - x, b, a)) / b;
}

const TINY = 1e-300;

function continuedFraction(x: number, a: number, b: number): number {
  const nonZero = (value: number): number => (Math.abs(value) < TINY ? TINY : value);
  let c = 1;
  let d = 1 / nonZero(1 - ((a + b) * x) / (a + 1));
  let result = d;
  for (let m = 1; m <= 10_000; m += 1) {
    const even = (m * (b - m) * x) / ((a + 2 * m - 1) * (a + 2 * m));
    d = 1 / nonZero(1 + even * d);
    c = nonZero(1 + even / c);
    result *= d * c;
    const odd = (-(a + m) * (a + b + m) * x) / ((a + 2 * m) * (a + 2 * m + 1));
    d = 1 / nonZero(1 + odd * d);
    c = nonZero(1 + odd / c);
    result *= d * c;
    if (Math.abs(d * c - 1) < 1e-13) break;
  }
  return result;
}

/** Stirling's series; small arguments are moved up to where it holds. */
function logGamma(x: number): number {
  let shift = 0;
  let y = x;
  for (; y < 10; y += 1) shift -= Math.log(y);
  const inverse = 1 / (y * y);
  const series = (1 / 12 - inverse * (1 / 360 - inverse * (1 / 1260 - inverse / 1680))) / y;
  return shift + (y - 0.5) * Math.log(y) - y + Math.log(2 * Math.PI) / 2 + series;
}
