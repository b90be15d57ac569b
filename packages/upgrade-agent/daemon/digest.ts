/** This node's own state in the words of the fleet view. */
import type { VersionStatus } from "../api/contract.ts";
import { historyMax, type NodeDigest, versionsPerNodeMax } from "../fleet/view.ts";
import type { Journal } from "../journal/journal.ts";
import type { Upgrade } from "../lifecycle/machine.ts";
import type { Progress } from "../lifecycle/works/context.ts";

export type ProgressOf = (upgrade: Upgrade) => Progress | undefined;
export type LabelOf = (service: string, version: number) => string | undefined;

export function versionStatus(
  journal: Journal,
  upgrade: Upgrade,
  labelOf: LabelOf,
  progressOf: ProgressOf,
): VersionStatus {
  const { service, version, stage, enteredAtMs, attempt, learnedBy, source, fault } = upgrade;
  const label = labelOf(service, version);
  const kept = journal.quarantines().find((row) => row.service === service && row.version === version);
  const progress = stage === "downloading" ? progressOf(upgrade) : undefined;
  return {
    service,
    version,
    stage,
    enteredAtMs,
    attempt,
    learnedBy,
    source,
    history: journal.history(service, version).slice(-historyMax),
    ...(label === undefined ? {} : { label }),
    ...(progress === undefined ? {} : { progress }),
    ...(fault === undefined ? {} : { fault }),
    ...(kept === undefined ? {} : { quarantine: { sinceMs: kept.sinceMs, detail: kept.detail } }),
  };
}

/** Newest versions first when there are more than a digest may carry. */
export function nodeDigest(
  node: { readonly node: string; readonly serviceAddress: string },
  /** As its router says; undefined while that does not answer. */
  address6: string | undefined,
  versions: readonly VersionStatus[],
  now: number,
): NodeDigest {
  const newest = versions.toSorted((a, b) => b.version - a.version).slice(0, versionsPerNodeMax);
  return {
    node: node.node,
    address: node.serviceAddress,
    ...(address6 === undefined ? {} : { address6 }),
    revision: now,
    versions: newest,
  };
}
