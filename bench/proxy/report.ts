/** The table for people: contenders below one another, a part per number of connections. Pure. */
import { figure, renderTable } from "../harness/index.ts";
import type { Row, Summary } from "../harness/index.ts";
import { connections, measureNames } from "./probes.ts";

export function tables(
  rows: readonly Row[],
  contenders: readonly string[],
  counts: readonly number[],
): string {
  const { rate, p50, p99, cost, memory, whole } = measureNames;
  const parts = counts.map((count) =>
    table(rows, contenders, connections(count), [
      { measure: rate(count), head: "1000 requests/s" },
      { measure: p50(count), head: "p50 ms" },
      { measure: p99(count), head: "p99 ms" },
      { measure: cost(count), head: "CPU µs/request" },
      count === 1
        ? { measure: whole, head: "memory MiB" }
        : { measure: memory(count), head: "memory KiB/connection" },
    ]),
  );
  return parts.join("\n");
}

interface Column {
  readonly measure: string;
  readonly head: string;
}

function table(
  rows: readonly Row[],
  contenders: readonly string[],
  title: string,
  columns: readonly Column[],
): string {
  const valueOf = (measure: string, name: string): Summary | undefined =>
    rows.find((row) => row.measure === measure)?.values[name];
  const lines = contenders
    .filter((name) => columns.some(({ measure }) => valueOf(measure, name) !== undefined))
    .map((name) => [name, ...columns.map(({ measure }) => cell(valueOf(measure, name)))]);
  return renderTable([[title, ...columns.map(({ head }) => head)], ...lines], 1);
}

function cell(summary: Summary | undefined): string {
  if (summary === undefined) return "–";
  const { median, min, max } = summary;
  return min === max ? figure(median) : `${figure(median)} (${figure(min)}–${figure(max)})`;
}
