/** Straight lines through points by least squares. Pure. */

export interface Point {
  readonly x: number;
  readonly y: number;
}

export interface Line {
  readonly offset: number;
  readonly slope: number;
  /** Share of the variance that the line explains, 0…1. */
  readonly rSquared: number;
}

/** Needs two points at least, with different x. */
export function fitLine(points: readonly Point[]): Line {
  const meanX = mean(points.map(({ x }) => x));
  const meanY = mean(points.map(({ y }) => y));
  const sum = (term: (point: Point) => number): number =>
    points.reduce((total, point) => total + term(point), 0);
  const slope = sum(({ x, y }) => (x - meanX) * (y - meanY)) / sum(({ x }) => (x - meanX) ** 2);
  const offset = meanY - slope * meanX;
  const unexplained = sum(({ x, y }) => (y - offset - slope * x) ** 2);
  const variance = sum(({ y }) => (y - meanY) ** 2);
  return { offset, slope, rSquared: variance === 0 ? 1 : 1 - unexplained / variance };
}

function mean(values: readonly number[]): number {
  return values.reduce((total, value) => total + value, 0) / values.length;
}
