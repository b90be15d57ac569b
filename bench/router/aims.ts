/** What the router is meant to reach, and in which rows it does not. Pure. */
import { overlaps, ratio } from "../harness/index.ts";
import type { Row } from "../harness/index.ts";

interface Aim {
  readonly baseline: "nat" | "routing";
  readonly least: number;
  readonly holdsFor: (row: Row) => boolean;
}

/** Rows that count what is carried, as opposed to how long it takes or what it costs. */
const isThroughputOrUdpRate = (row: Row): boolean =>
  row.measure.startsWith("TCP throughput") || row.measure.startsWith("UDP packets");

const AIMS: readonly Aim[] = [
  { baseline: "nat", least: 1, holdsFor: () => true },
  { baseline: "routing", least: 0.95, holdsFor: isThroughputOrUdpRate },
];

/** One line per row that misses an aim, or that all are met. */
export function verdicts(rows: readonly Row[], contender: string): string {
  const aims = `Aims: ${contender} at least as good as nat in every row, and 0.95 of routing in throughput and UDP rate.`;
  const misses = AIMS.flatMap(({ baseline, least, holdsFor }) =>
    rows.filter(holdsFor).flatMap((row) => {
      const reached = ratio(row, contender, baseline);
      if (reached === undefined || reached >= least) return [];
      const doubt = overlaps(row, contender, baseline)
        ? "; the ranges overlap"
        : "; the ranges do not overlap";
      return [
        `  misses: ${row.measure}: ${reached.toFixed(3)} of ${baseline}, aim ${least.toFixed(2)}${doubt}`,
      ];
    }),
  );
  return [aims, ...(misses.length === 0 ? ["  All are met."] : misses), ""].join("\n");
}
