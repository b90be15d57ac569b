/** What starting is meant to take, and whether it does. Pure. */
import { figure } from "../harness/index.ts";
import type { Row } from "../harness/index.ts";
import type { Way } from "./contract.ts";
import { measureNames } from "./probes.ts";

interface Aim {
  readonly measure: string;
  readonly way: Way;
  readonly mostMs: number;
}

/** Of one domain, on a machine that is otherwise idle. */
const AIMS: readonly Aim[] = [
  { measure: measureNames.disk(1), way: "overlay", mostMs: 50 },
  { measure: measureNames.disk(1), way: "spare", mostMs: 50 },
  { measure: measureNames.disk(1), way: "lxc", mostMs: 50 },
  { measure: measureNames.until("running", 1), way: "spare", mostMs: 1_000 },
  { measure: measureNames.until("ssh", 1), way: "spare", mostMs: 1_500 },
  { measure: measureNames.until("answered", 1), way: "lxc", mostMs: 500 },
];

/** One line per aim, by medians. */
export function verdicts(rows: readonly Row[]): string {
  const lines = AIMS.map(({ measure, way, mostMs }) => {
    const median = rows.find((row) => row.measure === measure)?.values[way]?.median;
    const said =
      median === undefined
        ? "not measured"
        : `${figure(median)} ms; ${median < mostMs ? "reached" : "misses"}`;
    return `  ${way}: ${measure}: aim below ${mostMs} ms: ${said}`;
  });
  return ["Aims, of one domain on a machine that does nothing else:", ...lines, ""].join("\n");
}
