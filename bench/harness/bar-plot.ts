/** Bar charts as SVG: one panel per row, one bar per contender, whiskers from least to most. Pure. */
import type { Row, Summary } from "./bench.ts";
import { figure } from "./table.ts";

const COLUMNS = 2;
const PANEL = { width: 440, head: 34, bar: 20, foot: 14 } as const;
const LABEL_WIDTH = 76;
const FIGURE_WIDTH = 64;
/** Told apart by people who do not tell red from green (Okabe and Ito's palette). */
const COLOURS = ["#999999", "#e69f00", "#0072b2", "#56b4e9", "#009e73", "#cc79a7", "#d55e00"] as const;

/** `contenders` gives the order and the colours. */
export function barPlot(title: string, rows: readonly Row[], contenders: readonly string[]): string {
  const height = PANEL.head + contenders.length * PANEL.bar + PANEL.foot;
  const width = COLUMNS * PANEL.width;
  const top = 40;
  const panels = rows.map((row, index) => {
    const x = (index % COLUMNS) * PANEL.width;
    const y = top + Math.floor(index / COLUMNS) * height;
    return `<g transform="translate(${x} ${y})">${panel(row, contenders)}</g>`;
  });
  const total = top + Math.ceil(rows.length / COLUMNS) * height;
  return [
    `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${width} ${total}" width="${width}" height="${total}"`,
    ` font-family="sans-serif" font-size="12">`,
    `<rect width="100%" height="100%" fill="#ffffff"/>`,
    `<text x="12" y="24" font-size="15" font-weight="bold">${escape(title)}</text>`,
    ...panels,
    `</svg>\n`,
  ].join("\n");
}

function panel(row: Row, contenders: readonly string[]): string {
  const most = Math.max(...Object.values(row.values).map(({ max }) => max), Number.MIN_VALUE);
  const scale = (PANEL.width - LABEL_WIDTH - FIGURE_WIDTH) / most;
  const head = `${row.measure}, ${row.unit} (${row.better} is better)`;
  const bars = contenders.map((name, index) => {
    const y = PANEL.head + index * PANEL.bar;
    const label = `<text x="${LABEL_WIDTH - 6}" y="${y + 14}" text-anchor="end">${escape(name)}</text>`;
    const summary = row.values[name];
    const absent = `<text x="${LABEL_WIDTH}" y="${y + 14}" fill="#777777">–</text>`;
    return label + (summary === undefined ? absent : bar(summary, scale, y, colour(index)));
  });
  return `<text x="12" y="24" font-weight="bold">${escape(head)}</text>${bars.join("")}`;
}

function bar({ median, min, max }: Summary, scale: number, y: number, fill: string): string {
  const [end, from, to] = [median, min, max].map((value) => LABEL_WIDTH + value * scale);
  const middle = y + PANEL.bar / 2;
  return [
    `<rect x="${LABEL_WIDTH}" y="${y + 3}" width="${coordinate(median * scale)}" height="${PANEL.bar - 6}" fill="${fill}"/>`,
    `<path d="M${coordinate(from)} ${middle}H${coordinate(to)}" stroke="#000000"/>`,
    `<text x="${coordinate(Math.max(end ?? 0, to ?? 0) + 6)}" y="${y + 14}">${figure(median)}</text>`,
  ].join("");
}

function colour(index: number): string {
  return COLOURS[index % COLOURS.length] ?? COLOURS[0];
}

function coordinate(value = 0): string {
  return value.toFixed(1);
}

function escape(text: string): string {
  return text.replaceAll("&", "&amp;").replaceAll("<", "&lt;");
}
