/** Which hints are worth following. Pure. A hint comes from a stranger and costs at most one fetch of metadata. */
import type { Upgrade } from "./machine.ts";

export interface Hint {
  readonly service: string;
  readonly version: number;
  /** Service address of the node that is said to have it. */
  readonly source: string;
  readonly learnedBy: "mark" | "exchange";
}

/** Verified versions of one service that are neither retired nor failed; more are not begun. */
export const openVersionsMax = 4;
/** Versions whose metadata is not verified yet, of all services; each costs one small fetch and its repeats. */
export const unverifiedMax = 16;

/**
 * Only a version newer than every verified one is news; numbers only grow. What is not verified yet holds up nothing
 * but its own source: a stranger who names the highest number there is must not shut out the versions below it.
 */
export function isNews(upgrades: readonly Upgrade[], hint: Omit<Hint, "learnedBy">): boolean {
  const unverified = upgrades.filter((upgrade) => upgrade.stage === "discovered");
  if (unverified.length >= unverifiedMax) return false;
  if (unverified.some((upgrade) => upgrade.source === hint.source && upgrade.service === hint.service))
    return false;
  const ofService = upgrades.filter((upgrade) => upgrade.service === hint.service);
  if (ofService.some((upgrade) => upgrade.version === hint.version)) return false;
  const verified = ofService.filter((upgrade) => upgrade.stage !== "discovered");
  if (verified.some((upgrade) => upgrade.version > hint.version)) return false;
  const open = verified.filter((upgrade) => upgrade.stage !== "retired" && upgrade.stage !== "failed");
  return open.length < openVersionsMax;
}

/**
 * A hint from the exchange is followed at once for a service that is new here, since no marks of it can reach this
 * node; for one that runs here, only after `delayMs` in which no mark told the same.
 */
export function isDue(upgrades: readonly Upgrade[], hint: Hint, ageMs: number, delayMs: number): boolean {
  if (hint.learnedBy === "mark" || ageMs >= delayMs) return true;
  return !upgrades.some((upgrade) => upgrade.service === hint.service && upgrade.stage === "running");
}
