/**
 * Which data path carries this node: the one that the configuration names, or the best that the machine can. What an
 * earlier daemon left decides first: domains on one data path cannot go over to the other while they run.
 */
import { existsSync, readdirSync } from "node:fs";
import { createKernelDataPath, probeKernelDataPath } from "../datapath/kernel/index.ts";
import { createRelayDataPath, probeRelayDataPath } from "../datapath/relay/index.ts";
import { RouterError } from "../errors.ts";
import type { DataPath } from "../datapath/datapath.ts";
import type { ProbeResult } from "../datapath/kernel/index.ts";
import type { RouterConfig } from "./config.ts";

export type DataPathKind = DataPath["kind"];

/** What the choice rests on. */
export interface Findings {
  readonly wanted: "auto" | DataPathKind;
  /** Left by an earlier daemon. */
  readonly left: readonly DataPathKind[];
  readonly kernel: ProbeResult;
  readonly relay: ProbeResult;
}

/** Throws E_NO_DATA_PATH, with what would mend it. Pure. */
export function chooseKind({ wanted, left, kernel, relay }: Findings): DataPathKind {
  const other = left.find((kind) => wanted !== "auto" && kind !== wanted);
  if (other !== undefined) {
    const message = `This node's domains are on the ${other} data path; run "vm-router --destroy" before changing it to ${wanted}.`;
    throw new RouterError("E_NO_DATA_PATH", message);
  }
  if (wanted !== "auto") return wanted;
  const [before] = left;
  if (before !== undefined) return before;
  if (kernel.ok) return "kernel";
  if (relay.ok) return "relay";
  const lacks = ({ missing }: ProbeResult) => missing.map(({ what, mend }) => `${what} (${mend})`).join(", ");
  throw new RouterError(
    "E_NO_DATA_PATH",
    `This machine lacks, for the kernel data path, ${lacks(kernel)}; for the relay, ${lacks(relay)}.`,
  );
}

export async function chooseDataPath(config: RouterConfig): Promise<DataPath> {
  const kind = chooseKind({
    wanted: config.dataPath,
    left: leftBehind(config),
    kernel: await probeKernelDataPath(),
    relay: await probeRelayDataPath(),
  });
  return kind === "kernel" ? createKernelDataPath(config) : createRelay(config);
}

/** Removes whatever either data path has made; nothing is fine. */
export async function destroyDataPaths(config: RouterConfig): Promise<void> {
  const left = leftBehind(config);
  // Where a data path cannot be, there is nothing of it, and perhaps not the tools to look for it.
  if (left.includes("kernel") || (await probeKernelDataPath()).ok)
    await createKernelDataPath(config).destroy();
  if (left.includes("relay")) await createRelay(config).destroy();
}

function createRelay(config: RouterConfig): DataPath {
  return createRelayDataPath({ ...config, stateFile: stateFileOf(config) });
}

function leftBehind(config: RouterConfig): readonly DataPathKind[] {
  const kinds: DataPathKind[] = [];
  if (hasPins(config.pinDirectory)) kinds.push("kernel");
  if (existsSync(stateFileOf(config))) kinds.push("relay");
  return kinds;
}

function hasPins(directory: string): boolean {
  return existsSync(directory) && readdirSync(directory).some((name) => name.startsWith("layout-"));
}

function stateFileOf({ socket }: RouterConfig): string {
  return `${socket}.relay.json`;
}
