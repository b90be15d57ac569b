/**
 * When a service sends a direct mark, and to whom, so that a fleet learns even when its services are idle.
 *
 * Each service walks over the managed peers from a random start, one step per interval. That reaches every peer
 * within as many intervals as there are peers, and spreads news as fast as random choice does ("quasirandom rumor
 * spreading", Doerr, Friedrich and Sauerwald, SODA 2008). Peers with which the service talks anyway are passed
 * over, but not in every round: traffic may flow one way only.
 */
import type { GossipLimits } from "./limits.ts";

/** Rounds of which one goes to the next peer even if that one was just heard. */
const UNCONDITIONAL_EVERY = 4;
/** Peers that one round looks at to find a quiet one. */
const LOOK_AHEAD_MAX = 16;

export interface ExchangeState {
  /** Index of the next peer; undefined before the first round. */
  cursor: number | undefined;
  round: number;
  nextAtMs: number;
  /** Direct marks still to be sent at once because there is news. */
  urgent: number;
}

export function startExchange(nowMs: number, limits: GossipLimits): ExchangeState {
  return { cursor: undefined, round: 0, nextAtMs: nowMs, urgent: limits.newsFanout };
}

/** Whether `dueExchanges` may choose anybody now; cheaper than to ask it. */
export function isExchangeDue(state: ExchangeState, peers: readonly string[], nowMs: number): boolean {
  return peers.length > 0 && (state.urgent > 0 || nowMs >= state.nextAtMs);
}

/**
 * The peers to send to now. `peers` is sorted; `quiet` says whether a peer has not been heard for an interval;
 * `random` gives numbers in [0, 1).
 */
export function dueExchanges(
  state: ExchangeState,
  peers: readonly string[],
  quiet: (peer: string) => boolean,
  limits: GossipLimits,
  nowMs: number,
  random: () => number,
): string[] {
  if (peers.length === 0) return [];
  state.cursor ??= Math.floor(random() * peers.length);
  const chosen: string[] = [];
  while (state.urgent > 0 && chosen.length < peers.length) {
    state.urgent -= 1;
    chosen.push(step(state, peers));
  }
  state.urgent = 0;
  if (chosen.length > 0) {
    state.nextAtMs = nowMs + limits.exchangeMs;
  } else if (nowMs >= state.nextAtMs) {
    state.nextAtMs = nowMs + limits.exchangeMs;
    const peer = nextPeer(state, peers, quiet);
    if (peer !== undefined) chosen.push(peer);
  }
  return chosen;
}

function nextPeer(
  state: ExchangeState,
  peers: readonly string[],
  quiet: (peer: string) => boolean,
): string | undefined {
  state.round += 1;
  if (state.round % UNCONDITIONAL_EVERY === 0) return step(state, peers);
  for (let looked = 0; looked < Math.min(peers.length, LOOK_AHEAD_MAX); looked += 1) {
    const peer = step(state, peers);
    if (quiet(peer)) return peer;
  }
  return undefined;
}

function step(state: ExchangeState, peers: readonly string[]): string {
  const index = (state.cursor ?? 0) % peers.length;
  state.cursor = index + 1;
  return peers[index] ?? "";
}
