/** Does the application proxy leak? A day of its clock under everything that clients and servers can do to it. */
import type { Bench, BenchOptions, Report, Row, Summary } from "../harness/index.ts";
import { figure, renderTable, summarize } from "../harness/index.ts";
import { soak } from "./soak.ts";
import type { SoakFigures } from "./soak.ts";
import { leaks, slope } from "./verdicts.ts";
import type { Rest } from "./verdicts.ts";

const QUESTION =
  "Does the application proxy keep what it should let go of, in a day of bad clients and servers?";

/** 30 storms of 19 s and what lies between them are ten minutes: at this speed 24 hours of the proxy's clock. */
const SPEED = 144;
const FULL = { cycles: 30, stormMs: 19_000 } as const;
const QUICK = { cycles: 6, stormMs: 3_000 } as const;

export const bench: Bench = { question: QUESTION, run };

/** `--rounds`: storms. */
async function run(options: BenchOptions): Promise<Report> {
  const { cycles: usual, stormMs } = options.quick ? QUICK : FULL;
  const cycles = Math.max(4, options.rounds ?? usual);
  const { say, signal } = options;
  const figures = await soak({ service: "http", cycles, stormMs, speed: SPEED, say, signal });
  const findings = [...leaks(figures.rests, figures.peakBytes), ...wrongAnswers(figures)];
  const report = reportOf(figures, cycles);
  if (findings.length > 0) throw new Error(`${findings.join("; ")}\n${report.text}`);
  return report;
}

function wrongAnswers({ tally }: SoakFigures): readonly string[] {
  const found = tally.wrong === 0 ? [] : [`${tally.wrong} answers were not those to their questions`];
  return tally.answered === 0 ? [...found, "no good client was answered"] : found;
}

function reportOf(figures: SoakFigures, rounds: number): Report {
  const { peakBytes, rests } = figures;
  const atRest = rests.slice(1);
  const mib = 2 ** 20;
  const of = (what: keyof Rest, scale = 1): Summary => summarize(atRest.map((rest) => rest[what] / scale));
  const rows: readonly Row[] = [
    row("resident memory at rest", "MiB", of("rssBytes", mib)),
    row("heap at rest", "MiB", of("heapBytes", mib)),
    row("buffers at rest", "MiB", of("externalBytes", mib)),
    row("sockets at rest", "count", of("sockets")),
    row("timers at rest", "count", of("timers")),
    row("descriptors at rest", "count", of("descriptors")),
    row("peak of resident memory", "MiB", summarize([peakBytes / mib])),
    row("heap kept per client connection", "bytes", summarize([slope(atRest, "heapBytes")])),
  ];
  return { result: { question: QUESTION, rounds, rows }, text: textOf(figures, rows), plots: [] };
}

function row(measure: string, unit: string, summary: Summary): Row {
  return { measure, unit, better: "lower", values: { proxy: summary } };
}

function textOf(figures: SoakFigures, rows: readonly Row[]): string {
  const { requests, seconds, shed, tally, versionChanges } = figures;
  const hours = (seconds * SPEED) / 3600;
  const perSecond = requests / (hours * 3600);
  const lines = rows.map(({ measure, unit, values }) => {
    const { median, min, max } = values["proxy"] as Summary;
    return [measure, unit, figure(median), figure(min), figure(max)];
  });
  return `${seconds.toFixed(0)} s, in which the proxy's clock and timers, ${SPEED} times as fast, pass ${hours.toFixed(1)} hours: so many deadlines
of idle, slow and stuck connections. The traffic is what this machine carries meanwhile: ${tally.connections} client connections,
${requests} requests, as in a day with ${figure(perSecond)} requests/s; ${versionChanges} changes of versions; ${shed} connections shed.
Good clients: ${tally.answered} answers, ${tally.refused} refusals (deadlines pass ${SPEED} times too soon for them), ${tally.wrong} wrong.

${renderTable([["after each storm", "unit", "median", "min", "max"], ...lines], 2)}`;
}
