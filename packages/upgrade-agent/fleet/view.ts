/**
 * What this node knows of the others: one digest per node, the newest wins. Pure and bounded; `exchange.ts` beside it
 * carries digests between agents.
 */
import type { Stage } from "../lifecycle/stages.ts";

export interface VersionDigest {
  readonly service: string;
  readonly version: number;
  readonly label?: string;
  readonly stage: Stage;
  readonly enteredAtMs: number;
  /** Bytes, while downloading. */
  readonly progress?: { readonly receivedBytes: number; readonly totalBytes: number };
  /** When each stage was entered, oldest first, the present one last. */
  readonly history: readonly { readonly stage: Stage; readonly enteredAtMs: number }[];
  readonly fault?: { readonly code: string; readonly message: string };
  /** The application proxy keeps the version out, because it failed what others did. */
  readonly quarantine?: { readonly sinceMs: number; readonly detail: string };
}

export interface NodeDigest {
  readonly node: string;
  readonly address: string;
  /** Where its router has one. Domains there bear it, too; agents speak IPv4. */
  readonly address6?: string;
  /** Grows with every digest of this node, also over restarts (milliseconds since the epoch). */
  readonly revision: number;
  readonly versions: readonly VersionDigest[];
}

export interface KnownNode extends NodeDigest {
  /** When this digest reached us, by our clock, milliseconds. */
  readonly receivedAtMs: number;
}

/** Nodes kept; beyond this the one not heard of for longest is forgotten. */
export const nodesMax = 1_024;
/** Versions accepted in one digest. */
export const versionsPerNodeMax = 16;
/** Stages told per version. */
export const historyMax = 40;

export type FleetView = ReadonlyMap<string, KnownNode>;

export function mergeDigests(view: FleetView, digests: readonly NodeDigest[], now: number): FleetView {
  const merged = new Map(view);
  for (const digest of digests) {
    if (digest.versions.length > versionsPerNodeMax) continue;
    const known = merged.get(digest.address);
    if (known !== undefined && known.revision >= digest.revision) continue;
    merged.set(digest.address, { ...digest, receivedAtMs: now });
  }
  while (merged.size > nodesMax) merged.delete(longestSilent(merged));
  return merged;
}

function longestSilent(view: FleetView): string {
  let silent: KnownNode | undefined;
  for (const node of view.values()) {
    if (silent === undefined || node.receivedAtMs < silent.receivedAtMs) silent = node;
  }
  return silent?.address ?? "";
}

/** IPv6 addresses of the other nodes. */
export function addresses6(view: FleetView): string[] {
  return [...view.values()].flatMap(({ address6 }) => address6 ?? []).toSorted();
}

/** Nodes that do not yet run this version of the service or a newer one. */
export function nodesBehind(view: FleetView, service: string, version: number): KnownNode[] {
  return [...view.values()].filter((node) => {
    const ofService = node.versions.filter((entry) => entry.service === service && entry.stage !== "retired");
    return (
      ofService.length > 0 &&
      !ofService.some((entry) => entry.stage === "running" && entry.version >= version)
    );
  });
}

/** Addresses of nodes that have the release complete, as far as we know: good peers for a download. */
export function nodesWithRelease(view: FleetView, service: string, version: number): string[] {
  return [...view.values()]
    .filter((node) =>
      node.versions.some(
        (entry) => entry.service === service && entry.version === version && gives.has(entry.stage),
      ),
    )
    .map((node) => node.address);
}

const gives: ReadonlySet<Stage> = new Set([
  ...(["downloading", "downloaded", "preparing-disk", "creating-domain", "booting", "copying"] as const),
  ...(["configuring", "starting", "healthy", "attached", "migrating", "caught-up", "running"] as const),
]);
