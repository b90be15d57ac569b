/** The watch screen: one line per node and version, its stages drawn over time as in figure 11 of CMU-CS-05-190. */
import type { NodeDigest, VersionDigest } from "../../fleet/view.ts";
import type { Stage } from "../../lifecycle/stages.ts";
import type { Style } from "./style.ts";
import { table, type Cell } from "./table.ts";

/** What is drawn for a stage; short stages share a letter with what they belong to. */
const letters: Readonly<Record<Stage, string>> = {
  discovered: "v",
  verified: "v",
  scheduled: "w",
  downloading: "d",
  downloaded: "d",
  "preparing-disk": "p",
  "creating-domain": "c",
  booting: "b",
  copying: "y",
  configuring: "i",
  starting: "s",
  healthy: "a",
  attached: "a",
  migrating: "m",
  "caught-up": "m",
  running: "█",
  draining: "r",
  retired: " ",
  failed: "✗",
};

const legend =
  "v verify  w wait  d download  p disk  c create  b boot  y copy  i install  s start  a attach  m migrate  █ running  r retire";

export interface ScreenOptions {
  readonly now: number;
  readonly columns: number;
  readonly style: Style;
}

export function fleetScreen(nodes: readonly NodeDigest[], { now, columns, style }: ScreenOptions): string[] {
  const rows = nodes
    .toSorted((a, b) => a.node.localeCompare(b.node, "en", { numeric: true }))
    .flatMap((node) => shown(node).map((version) => ({ node, version })));
  if (rows.length === 0) return [style.dim("no version is known yet")];
  const newest = Math.max(...rows.map(({ version }) => version.version));
  const from = startOf(rows.map(({ version }) => version).filter((version) => version.version === newest));
  const width = Math.max(10, Math.min(60, columns - 58));
  const lines = rows.map(({ node, version }): (string | Cell)[] => [
    node.node,
    node.address,
    `${version.service} ${version.version}`,
    stageCell(version, style),
    { text: bar(version, from, now, width), paint: style.cyan },
  ]);
  const seconds = Math.round((now - from) / 1000);
  const scale: Cell = { text: `0 s${`${seconds} s`.padStart(width - 3)}`, paint: style.dim };
  const header = ["NODE", "ADDRESS", "VERSION", "STAGE"].map((text): Cell => ({ text, paint: style.bold }));
  return [...table([[...header, scale], ...lines]), "", style.dim(legend)];
}

/** Versions that are over long ago are left out; at most the three newest of a node are drawn. */
function shown(node: NodeDigest): VersionDigest[] {
  return node.versions.toSorted((a, b) => a.version - b.version).slice(-3);
}

function startOf(versions: readonly VersionDigest[]): number {
  return Math.min(...versions.map((version) => version.history[0]?.enteredAtMs ?? version.enteredAtMs));
}

function stageCell(version: VersionDigest, style: Style): Cell {
  const { stage, progress, fault } = version;
  if (stage === "downloading" && progress !== undefined && progress.totalBytes > 0) {
    const percent = Math.floor((100 * progress.receivedBytes) / progress.totalBytes);
    return { text: `downloading ${percent} %`, paint: style.yellow };
  }
  if (version.quarantine !== undefined) return { text: `${stage}, kept out`, paint: style.red };
  if (stage === "running") return { text: stage, paint: style.green };
  if (stage === "retired") return { text: stage, paint: style.dim };
  if (stage === "failed") return { text: `failed ${fault?.code ?? ""}`.trim(), paint: style.red };
  return { text: fault === undefined ? stage : `${stage} (${fault.code})`, paint: style.yellow };
}

/** One character per slice of time: the stage that the version was in at its end. */
function bar(version: VersionDigest, from: number, now: number, width: number): string {
  const span = Math.max(1, now - from);
  const characters: string[] = [];
  for (let index = 0; index < width; index += 1) {
    const at = from + (span * (index + 1)) / width;
    const entry = version.history.findLast((candidate) => candidate.enteredAtMs <= at);
    characters.push(entry === undefined ? "·" : letters[entry.stage]);
  }
  return characters.join("");
}
