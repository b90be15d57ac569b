/** What the application proxy is meant to reach, and whether it does. Pure. */
import { figure, overlaps, ratio } from "../harness/index.ts";
import type { Row } from "../harness/index.ts";
import { measureNames } from "./probes.ts";

const PASS_THROUGH_LEAST = 0.5;
const ADDED_P99_MS_MOST = 1;
/** Two runs of the same differ by more than that. */
const NOISE = 0.02;

/** Lines for people. `some`: the middle number of connections. */
export function verdicts(rows: readonly Row[], some: number, policies: readonly string[]): string {
  return [
    "Aims:",
    ...withOneVersion(rows, some),
    ...passThrough(rows, some),
    ...secondVersion(rows, policies),
    "",
  ].join("\n");
}

/** The kernel carries clients' packets while one version runs; that may not be measurable. */
function withOneVersion(rows: readonly Row[], some: number): readonly string[] {
  const names = [measureNames.rate(1), measureNames.p99(1), measureNames.rate(some), measureNames.p99(some)];
  return rows
    .filter(({ measure }) => names.includes(measure))
    .map((row) => {
      const reached = ratio(row, "kernel", "direct") ?? 0;
      const within = reached >= 1 - NOISE || overlaps(row, "kernel", "direct");
      const words = within ? "nothing measurable" : "misses: measurably worse, the ranges do not meet";
      return `  one version, kernel against direct, ${row.measure}: ${reached.toFixed(2)} times as good; ${words}`;
    });
}

function passThrough(rows: readonly Row[], some: number): readonly string[] {
  const say = (measure: string, what: string): readonly string[] => {
    const row = rows.find((candidate) => candidate.measure === measure);
    const reached = row === undefined ? undefined : ratio(row, "pass", "haproxy");
    if (reached === undefined) return [];
    const words = reached >= PASS_THROUGH_LEAST ? "reached" : "misses";
    return [`  pass-through ${what}: ${reached.toFixed(2)} of haproxy, aim ${PASS_THROUGH_LEAST}; ${words}`];
  };
  return [
    ...say(measureNames.rate(some), `requests/s, ${some} connections`),
    // haproxy may be waiting for client and servers, on a processor of their own; its cost knows nothing of that.
    ...say(measureNames.cost(some), `requests per second of its processor, ${some} connections`),
  ];
}

/** One request at a time: what it takes longer than through the proxy with one version. */
function secondVersion(rows: readonly Row[], policies: readonly string[]): readonly string[] {
  const row = rows.find(({ measure }) => measure === measureNames.p99(1));
  const one = row?.values["one"]?.median;
  if (row === undefined || one === undefined) return [];
  return policies.flatMap((name) => {
    const own = row.values[name]?.median;
    if (own === undefined) return [];
    const words = own - one < ADDED_P99_MS_MOST ? "reached" : "misses";
    return [
      `  p99 added by a second version, ${name}: ${figure(own - one)} ms, aim below ${ADDED_P99_MS_MOST} ms; ${words}`,
    ];
  });
}
