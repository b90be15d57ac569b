/** What benches are made with. */
export type { Bench, BenchOptions, Plot, Report, Result, Row, Summary } from "./bench.ts";
export { barPlot } from "./bar-plot.ts";
export { runRounds } from "./rounds.ts";
export type { Contender, Measure, Probe } from "./rounds.ts";
export { overlaps, percentile, ratio, summarize } from "./statistics.ts";
export { figure, medianTable, ratioTable, renderTable } from "./table.ts";
