/** How one domain's way splits into its parts, as in figure 11 of CMU-CS-05-190: one bar per contender. Pure. */
import { figure } from "../harness/index.ts";
import type { Row } from "../harness/index.ts";
import { MARKS } from "./contract.ts";
import { measureNames } from "./probes.ts";

const WIDTH = 880;
const LABEL_WIDTH = 84;
const FIGURE_WIDTH = 72;
const BAR_HEIGHT = 30;
const TOP = 76;
/** Told apart by people who do not tell red from green (Okabe and Ito's palette). */
const COLOURS = [
  "#000000",
  "#999999",
  "#e69f00",
  "#0072b2",
  "#56b4e9",
  "#009e73",
  "#cc79a7",
  "#d55e00",
] as const;

/** Medians of the parts, one after another; a contender without figures has no bar. */
export function stagesPlot(title: string, rows: readonly Row[], contenders: readonly string[]): string {
  const parts = MARKS.map((mark) => {
    const row = rows.find(({ measure }) => measure === measureNames.part(mark));
    return { label: measureNames.part(mark).replace("part: ", ""), values: row?.values ?? {} };
  });
  const totalOf = (name: string): number =>
    parts.reduce((sum, { values }) => sum + (values[name]?.median ?? 0), 0);
  const measured = contenders.filter((name) => totalOf(name) > 0);
  const scale = (WIDTH - LABEL_WIDTH - FIGURE_WIDTH) / Math.max(...measured.map(totalOf), Number.MIN_VALUE);
  const bars = measured.map((name, index) => {
    const y = TOP + index * BAR_HEIGHT;
    let x = LABEL_WIDTH;
    const pieces = parts.map(({ values }, part) => {
      const width = (values[name]?.median ?? 0) * scale;
      const piece = `<rect x="${x.toFixed(1)}" y="${y}" width="${width.toFixed(1)}" height="${BAR_HEIGHT - 8}" fill="${COLOURS[part]}"/>`;
      x += width;
      return piece;
    });
    const label = `<text x="${LABEL_WIDTH - 6}" y="${y + 16}" text-anchor="end">${name}</text>`;
    const total = `<text x="${(x + 6).toFixed(1)}" y="${y + 16}">${figure(totalOf(name))} ms</text>`;
    return [label, ...pieces, total].join("");
  });
  const height = TOP + measured.length * BAR_HEIGHT + 10;
  return [
    `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${WIDTH} ${height}" width="${WIDTH}" height="${height}"`,
    ` font-family="sans-serif" font-size="12">`,
    `<rect width="100%" height="100%" fill="#ffffff"/>`,
    `<text x="12" y="24" font-size="15" font-weight="bold">${title}</text>`,
    ...parts.map(({ label }, part) => legend(label, part)),
    ...bars,
    `</svg>\n`,
  ].join("\n");
}

function legend(label: string, part: number): string {
  const x = 12 + part * 106;
  return `<rect x="${x}" y="42" width="12" height="12" fill="${COLOURS[part]}"/><text x="${x + 17}" y="52">${label}</text>`;
}
