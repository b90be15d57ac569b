/** Line charts as SVG: panels beside each other, a logarithmic axis where asked for. Pure. */

export interface Line {
  /** Lines of one name share a colour and one entry in the legend. */
  readonly name: string;
  /** An SVG dash pattern; "" is solid. */
  readonly dash: string;
  readonly points: readonly { readonly x: number; readonly y: number }[];
}

export interface Panel {
  readonly title: string;
  readonly yLabel: string;
  readonly yScale: "linear" | "logarithmic";
  readonly lines: readonly Line[];
}

/** Told apart by people who do not tell red from green (Okabe and Ito's palette). */
const COLOURS = ["#d55e00", "#e69f00", "#0072b2", "#009e73", "#cc79a7"] as const;
const PANEL = { width: 380, height: 330 } as const;
const AREA = { left: 62, top: 60, width: 290, height: 222 } as const;
const LEGEND_TOP = 30;
const LINEAR_STEPS_MAX = 6;

/** The x axis is logarithmic in all panels. `notes` say what the dashes mean, one line each. */
export function linePlot(
  title: string,
  xLabel: string,
  panels: readonly Panel[],
  notes: readonly string[],
): string {
  const width = panels.length * PANEL.width;
  const height = 40 + PANEL.height + notes.length * 16;
  const names = [...new Set(panels.flatMap(({ lines }) => lines.map(({ name }) => name)))];
  return [
    `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${width} ${height}" width="${width}" height="${height}"`,
    ` font-family="sans-serif" font-size="12">`,
    `<rect width="100%" height="100%" fill="#ffffff"/>`,
    `<text x="12" y="24" font-size="15" font-weight="bold">${escape(title)}</text>`,
    ...panels.map((panel, index) => {
      return `<g transform="translate(${index * PANEL.width} 32)">${drawPanel(panel, xLabel, names)}</g>`;
    }),
    ...notes.map(
      (note, index) => `<text x="12" y="${46 + PANEL.height + index * 16}">${escape(note)}</text>`,
    ),
    `</svg>\n`,
  ].join("\n");
}

interface Axis {
  readonly ticks: readonly number[];
  /** 0 at its least value, 1 at its greatest. */
  place(value: number): number;
}

function drawPanel(
  { title, yLabel, yScale, lines }: Panel,
  xLabel: string,
  names: readonly string[],
): string {
  const points = lines.flatMap((line) => line.points);
  const xAxis = logarithmic(points.map(({ x }) => x));
  const yAxis = (yScale === "linear" ? linear : logarithmic)(points.map(({ y }) => y));
  const across = (x: number): string => (AREA.left + xAxis.place(x) * AREA.width).toFixed(1);
  const down = (y: number): string => (AREA.top + (1 - yAxis.place(y)) * AREA.height).toFixed(1);
  const bottom = AREA.top + AREA.height;
  return [
    `<text x="12" y="18" font-weight="bold">${escape(title)}</text>`,
    ...[...new Set(lines.map(({ name }) => name))].map((name, index) => {
      const x = AREA.left + index * 58;
      return `<text x="${x}" y="${LEGEND_TOP + 10}" fill="${colour(names, name)}" font-weight="bold">${escape(name)}</text>`;
    }),
    ...yAxis.ticks.map(
      (y) =>
        `<path d="M${AREA.left} ${down(y)}h${AREA.width}" stroke="#dddddd"/>` +
        `<text x="${AREA.left - 6}" y="${Number(down(y)) + 4}" text-anchor="end">${short(y)}</text>`,
    ),
    ...xAxis.ticks.map(
      (x) => `<text x="${across(x)}" y="${bottom + 18}" text-anchor="middle">${short(x)}</text>`,
    ),
    `<path d="M${AREA.left} ${AREA.top}v${AREA.height}h${AREA.width}" fill="none" stroke="#000000"/>`,
    `<text x="${AREA.left + AREA.width / 2}" y="${bottom + 36}" text-anchor="middle">${escape(xLabel)}</text>`,
    `<text transform="translate(14 ${AREA.top + AREA.height / 2}) rotate(-90)" text-anchor="middle">${escape(yLabel)}</text>`,
    ...lines.map((line) => {
      const path = line.points.map(({ x, y }) => `${across(x)} ${down(y)}`).join("L");
      const dash = line.dash === "" ? "" : ` stroke-dasharray="${line.dash}"`;
      return `<path d="M${path}" fill="none" stroke="${colour(names, line.name)}" stroke-width="1.8"${dash}/>`;
    }),
  ].join("\n");
}

function colour(names: readonly string[], name: string): string {
  return COLOURS[names.indexOf(name) % COLOURS.length] ?? COLOURS[0];
}

/** From the power of ten below the least value to the one above the greatest. */
function logarithmic(values: readonly number[]): Axis {
  const from = Math.floor(Math.log10(Math.min(...values)));
  const to = Math.max(from + 1, Math.ceil(Math.log10(Math.max(...values))));
  return {
    ticks: Array.from({ length: to - from + 1 }, (_, index) => 10 ** (from + index)),
    place: (value) => (Math.log10(value) - from) / (to - from),
  };
}

/** From 0 to the round number above the greatest value. */
function linear(values: readonly number[]): Axis {
  const most = Math.max(...values);
  const unit = 10 ** Math.floor(Math.log10(most / LINEAR_STEPS_MAX));
  const step =
    [1, 2, 5, 10].map((factor) => factor * unit).find((size) => size * LINEAR_STEPS_MAX >= most) ?? most;
  const steps = Math.ceil(most / step);
  return {
    ticks: Array.from({ length: steps + 1 }, (_, index) => index * step),
    place: (value) => value / (step * steps),
  };
}

function short(value: number): string {
  return value >= 1 ? value.toLocaleString("en") : value.toPrecision(1);
}

function escape(text: string): string {
  return text.replaceAll("&", "&amp;").replaceAll("<", "&lt;");
}
