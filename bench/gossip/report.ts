/** Tables, fits and plot of the simulated fleets. Pure. */
import { figure, medianTable, renderTable, summarize } from "../harness/index.ts";
import type { Row, Summary } from "../harness/index.ts";
import { FLEETS, VARIATIONS } from "./experiments.ts";
import type { Fleet, Outcome } from "./experiments.ts";
import { fitLine } from "./fit.ts";
import type { Point } from "./fit.ts";
import { linePlot } from "./line-plot.ts";
import type { Line } from "./line-plot.ts";
import type { Milestone, SimulationResult } from "./contract.ts";

const MILESTONES = [
  { key: "half", name: "50 %", dash: "1 4" },
  { key: "share99", name: "99 %", dash: "6 4" },
  { key: "all", name: "100 %", dash: "" },
] as const;
const PANELS = [
  {
    title: "Overlays and idle services: straight is log N",
    yScale: "linear",
    fleets: ["dht", "random", "idle"],
  },
  { title: "Tree: straight is log N", yScale: "linear", fleets: ["tree"] },
  { title: "All, on a logarithmic axis: the ring is as N", yScale: "logarithmic", fleets: FLEETS },
] as const;

/** One row per size and milestone, then the marks, then the variations. */
export function toRows(outcomes: readonly Outcome[]): readonly Row[] {
  const plain = outcomes.filter(({ variation }) => variation === undefined);
  const sizes = [...new Set(plain.map(({ nodes }) => nodes))];
  return [
    ...sizes.flatMap((nodes) => {
      const ofSize = plain.filter((outcome) => outcome.nodes === nodes);
      const who = `${count(nodes)} nodes`;
      return [
        ...MILESTONES.map(({ key, name }) =>
          toRow(`${who}: ${name} know`, "rounds", ofSize, (result) => result[key].rounds),
        ),
        toRow(`${who}: marks until all know`, "per node", ofSize, ({ all }) => marksOf(all) / nodes),
      ];
    }),
    ...VARIATIONS.flatMap(({ name }) => {
      const varied = outcomes.filter(({ variation }) => variation === name);
      const [first] = varied;
      if (first === undefined) return [];
      return [
        toRow(`${count(first.nodes)} nodes, ${name}: 100 % know`, "rounds", varied, ({ all }) => all.rounds),
      ];
    }),
  ];
}

function marksOf({ trafficMarks, directMarks }: Milestone): number {
  return trafficMarks + directMarks;
}

function toRow(
  measure: string,
  unit: string,
  outcomes: readonly Outcome[],
  value: (result: SimulationResult) => number,
): Row {
  const values: Record<string, Summary> = {};
  for (const { fleet, results } of outcomes) values[fleet] = summarize(results.map(value));
  return { measure, unit, better: "lower", values };
}

export function toText(outcomes: readonly Outcome[], peakMemoryMiB: number): string {
  return [
    medianTable(toRows(outcomes), FLEETS),
    fitTable(outcomes),
    "A round is one second: each node sends one request to one neighbour, and request and answer are marked.",
    "Idle services send no requests; each router sends one direct mark every two seconds, and three at once with news.",
    `Peak memory ${count(peakMemoryMiB)} MiB.\n`,
  ].join("\n");
}

/** Rounds until all know, as a line over log2 N and as a line over N: the better one tells how it grows. */
function fitTable(outcomes: readonly Outcome[]): string {
  const lines = FLEETS.map((fleet) => {
    const points = pointsOf(outcomes, fleet, "all");
    const byLogarithm = fitLine(points.map(({ x, y }) => ({ x: Math.log2(x), y })));
    const byNumber = fitLine(points);
    const logarithmic = byLogarithm.rSquared > byNumber.rSquared;
    const { offset, slope } = logarithmic ? byLogarithm : byNumber;
    return [
      fleet,
      logarithmic ? "log N" : "N",
      `${figure(offset)} + ${figure(slope)} ${logarithmic ? "log2 N" : "N"}`,
      byLogarithm.rSquared.toFixed(3),
      byNumber.rSquared.toFixed(3),
    ];
  });
  return renderTable([["rounds until all know", "grow as", "fit", "R² log2 N", "R² N"], ...lines], 3);
}

function pointsOf(
  outcomes: readonly Outcome[],
  fleet: Fleet,
  milestone: (typeof MILESTONES)[number]["key"],
): readonly Point[] {
  return outcomes
    .filter((outcome) => outcome.fleet === fleet && outcome.variation === undefined)
    .map(({ nodes, results }) => ({
      x: nodes,
      y: summarize(results.map((result) => result[milestone].rounds)).median,
    }));
}

export function toPlot(title: string, outcomes: readonly Outcome[]): string {
  const linesOf = (fleets: readonly Fleet[]): readonly Line[] =>
    fleets.flatMap((fleet) =>
      MILESTONES.map(({ key, dash }) => ({ name: fleet, dash, points: pointsOf(outcomes, fleet, key) })),
    );
  return linePlot(
    title,
    "nodes",
    PANELS.map(({ fleets, ...panel }) => ({ ...panel, yLabel: "rounds (seconds)", lines: linesOf(fleets) })),
    [`${MILESTONES.map(({ name }) => name).join(", ")} of the nodes know: dotted, dashed, solid.`],
  );
}

function count(value: number): string {
  return value.toLocaleString("en");
}
