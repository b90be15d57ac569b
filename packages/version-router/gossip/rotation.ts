/**
 * Which advertisement the marks of one service carry next.
 *
 * A mark has room for one advertisement. The newest news gets the largest share, and everything else a share that
 * never is zero: smooth weighted round robin, so shares are exact over a cycle and every cycle holds everyone.
 */
import type { Advertisement } from "../control/contract.ts";

/** Shares by rank of news, newest first; all later ranks have the last one. */
const SHARES = [4, 3, 2, 1] as const;

export interface RotationEntry {
  readonly advertisement: Advertisement;
  /** When this version got this status here. */
  readonly newsAtMs: number;
  readonly share: number;
  credit: number;
}

/** Newest first. */
export type Rotation = readonly RotationEntry[];

/** Turns that a full cycle takes: each advertisement comes at least once in so many turns. */
export function cycleLength(rotation: Rotation): number {
  return rotation.reduce((sum, entry) => sum + entry.share, 0);
}

/** Begins a rotation; what `previous` said already keeps its age, so only what changed counts as news. */
export function startRotation(
  advertisements: readonly Advertisement[],
  previous: Rotation,
  nowMs: number,
): Rotation {
  const agedMs = (advertisement: Advertisement) =>
    previous.find((entry) => sameAdvertisement(entry.advertisement, advertisement))?.newsAtMs ?? nowMs;
  return advertisements
    .map((advertisement) => ({ advertisement, newsAtMs: agedMs(advertisement) }))
    .toSorted((a, b) => b.newsAtMs - a.newsAtMs || b.advertisement.version - a.advertisement.version)
    .map((entry, rank) => ({ ...entry, share: SHARES[rank] ?? 1, credit: 0 }));
}

/** Takes the next turn. Undefined when there is nothing to advertise. */
export function nextAdvertisement(rotation: Rotation): Advertisement | undefined {
  let chosen: RotationEntry | undefined;
  for (const entry of rotation) {
    entry.credit += entry.share;
    if (chosen === undefined || entry.credit > chosen.credit) chosen = entry;
  }
  if (chosen !== undefined) chosen.credit -= cycleLength(rotation);
  return chosen?.advertisement;
}

export function sameAdvertisement(a: Advertisement | undefined, b: Advertisement | undefined): boolean {
  return a?.version === b?.version && a?.status === b?.status;
}
