/** What the relay counts by managed peer, within a bound: the least recently counted is forgotten first. Pure. */
import type { Counted } from "./tally.ts";

/** As in the kernel's data path. */
const PEER_COUNTERS_MAX = 8192;

export interface TalliedPeer extends Counted {
  /** IPv4, as a number. */
  readonly peer: number;
  readonly verdict: string;
  packets: number;
  bytes: number;
  lastSeenMs: number;
}

export class PeerTally {
  readonly #counters = new Map<string, TalliedPeer>();

  count(peer: number, { tag, version }: Counted, verdict: string, bytes: number, nowMs: number): void {
    const key = `${peer} ${tag} ${version} ${verdict}`;
    const before = this.#counters.get(key);
    const counter = before ?? { peer, tag, version, verdict, packets: 0, bytes: 0, lastSeenMs: nowMs };
    counter.packets += 1;
    counter.bytes += bytes;
    counter.lastSeenMs = nowMs;
    if (before === undefined) this.#add(key, counter);
    else if (this.#counters.size >= PEER_COUNTERS_MAX) this.#moveToEnd(key, counter);
  }

  all(): readonly TalliedPeer[] {
    return [...this.#counters.values()];
  }

  #add(key: string, counter: TalliedPeer): void {
    this.#counters.set(key, counter);
    if (this.#counters.size <= PEER_COUNTERS_MAX) return;
    const [oldest] = this.#counters.keys();
    if (oldest !== undefined) this.#counters.delete(oldest);
  }

  /** The order matters only when somebody has to go. */
  #moveToEnd(key: string, counter: TalliedPeer): void {
    this.#counters.delete(key);
    this.#counters.set(key, counter);
  }
}
