/** Tables as text: columns as wide as what is in them, words to the left, figures to the right. Pure. */
import type { Row } from "./bench.ts";
import { ratio } from "./statistics.ts";

/** The first line is the head; `textColumns` of them, from the left, hold words. */
export function renderTable(lines: readonly (readonly string[])[], textColumns: number): string {
  const widths: number[] = [];
  for (const line of lines) {
    for (const [index, cell] of line.entries()) widths[index] = Math.max(widths[index] ?? 0, cell.length);
  }
  const text = lines.map((line) =>
    line
      .map((cell, index) =>
        index < textColumns ? cell.padEnd(widths[index] ?? 0) : cell.padStart(widths[index] ?? 0),
      )
      .join("  ")
      .trimEnd(),
  );
  return `${text.join("\n")}\n`;
}

/** Three digits that matter. */
export function figure(value: number): string {
  const magnitude = Math.abs(value);
  const digits = magnitude >= 100 ? 0 : magnitude >= 10 ? 1 : 2;
  return value.toFixed(digits);
}

/** Medians of all contenders, and below each its range over the rounds. */
export function medianTable(rows: readonly Row[], contenders: readonly string[]): string {
  const head = ["median, below it min–max", "unit", ...contenders];
  const lines = rows.flatMap((row) => [
    [row.measure, row.unit, ...contenders.map((name) => show(row, name, ({ median }) => figure(median)))],
    ["", "", ...contenders.map((name) => show(row, name, ({ min, max }) => `${figure(min)}–${figure(max)}`))],
  ]);
  return renderTable([head, ...lines], 2);
}

function show(row: Row, contender: string, format: (summary: Row["values"][string]) => string): string {
  const summary = row.values[contender];
  return summary === undefined ? "–" : format(summary);
}

/** How many times as good as the baseline each contender is; over 1.00 is better than it in every row. */
export function ratioTable(rows: readonly Row[], contenders: readonly string[], baseline: string): string {
  const others = contenders.filter((name) => name !== baseline);
  const lines = rows.map((row) => [
    row.measure,
    ...others.map((name) => ratio(row, name, baseline)?.toFixed(2) ?? "–"),
  ]);
  return renderTable([[`times as good as ${baseline}`, ...others], ...lines], 1);
}
