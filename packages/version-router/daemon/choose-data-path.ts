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

/** The data path that is taken, and why, in a sentence. */
export interface Choice {
  readonly kind: DataPathKind;
  readonly reason: string;
}

/** Throws E_NO_DATA_PATH, with what would mend it. Pure. */
export function chooseKind({ wanted, left, kernel, relay }: Findings): Choice {
  const other = left.find((kind) => wanted !== "auto" && kind !== wanted);
  if (other !== undefined) {
    const message = `This node's domains are on the ${other} data path; run "vm-router --destroy" before changing it to ${wanted}.`;
    throw new RouterError("E_NO_DATA_PATH", message);
  }
  if (wanted !== "auto") return { kind: wanted, reason: "the configuration names it" };
  const [before] = left;
  if (before !== undefined) return { kind: before, reason: "this node's domains are on it already" };
  if (kernel.ok) return { kind: "kernel", reason: "this machine can carry it" };
  if (relay.ok) return { kind: "relay", reason: `for the kernel's, this machine lacks ${lacks(kernel)}` };
  throw new RouterError(
    "E_NO_DATA_PATH",
    `This machine lacks, for the kernel data path, ${lacks(kernel)}; for the relay, ${lacks(relay)}.`,
  );
}

function lacks({ missing }: ProbeResult): string {
  return missing.map(({ what, mend }) => `${what} (${mend})`).join(", ");
}
export interface ChosenDataPath {
  readonly dataPath: DataPath;
  readonly reason: string;
}

export async function chooseDataPath(config: RouterConfig): Promise<ChosenDataPath> {
  const { kind, reason } = chooseKind({
    wanted: config.dataPath,
    left: leftBehind(config),
    kernel: await probeKernelDataPath(),
    relay: await probeRelayDataPath(),
  });
  const dataPath = kind === "kernel" ? createKernelDataPath(config) : createRelay(config);
  return { dataPath, reason };
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
