/** What the relay counts and what it hears, both bounded. Pure. */
import { packAdvertisement } from "../../mark/mark.ts";
import type { Counter } from "../../control/contract.ts";
import type { Mark } from "../../mark/mark.ts";
import type { HeardMark } from "../datapath.ts";
import type { CountedFor, Judged } from "./trace.ts";

/** A verdict's count. Segments of a stream count as often as they were read: the relay sees no packets of TCP. */
export interface TalliedCounter {
  readonly tag: number;
  readonly version: number;
  readonly verdict: string;
  packets: number;
  bytes: number;
}

/** Who is counted for: a domain, or the service of a stranger's packet, then with version 0. */
export interface Counted {
  readonly tag: number;
  readonly version: number;
}

export const NOBODY: Counted = { tag: 0, version: 0 };

/** As in the kernel's data path. */
const HEARD_MAX = 4096;
const COUNTERS_MAX = 8192;

export class Tally {
  readonly #counters = new Map<string, TalliedCounter>();
  readonly #heard = new Map<string, HeardMark>();
  readonly #observe: (judged: Judged, counted: CountedFor) => void;

  /** `observe` is told of whatever has addresses. */
  constructor(observe: (judged: Judged, counted: CountedFor) => void = () => undefined) {
    this.#observe = observe;
  }

  count({ tag, version }: Counted, verdict: string, bytes: number, judged?: Judged): void {
    if (judged !== undefined) this.#observe(judged, { tag, version, verdict, bytes });
    const key = `${tag} ${version} ${verdict}`;
    let counter = this.#counters.get(key);
    if (counter === undefined) {
      if (this.#counters.size >= COUNTERS_MAX) return;
      counter = { tag, version, verdict, packets: 0, bytes: 0 };
      this.#counters.set(key, counter);
    }
    counter.packets += 1;
    counter.bytes += bytes;
  }

  /** Remembers what a mark teaches; the longest unheard is forgotten first. */
  hear(peerAddress: string, { tag, version, advertisement }: Mark, nowMs: number): void {
    if (advertisement === undefined) return;
    const key = `${peerAddress} ${tag} ${version} ${packAdvertisement(advertisement)}`;
    this.#heard.delete(key);
    this.#heard.set(key, { peerAddress, tag, senderVersion: version, advertisement, lastHeardMs: nowMs });
    if (this.#heard.size <= HEARD_MAX) return;
    const [oldest] = this.#heard.keys();
    if (oldest !== undefined) this.#heard.delete(oldest);
  }

  counters(): readonly TalliedCounter[] {
    return [...this.#counters.values()];
  }

  heard(): readonly HeardMark[] {
    return [...this.#heard.values()];
  }
}

/** One counter for each service, version and verdict, whoever counted. */
export function sumUp(
  counters: readonly Readonly<TalliedCounter>[],
  nameOf: (tag: number) => string,
): readonly Counter[] {
  const sums = new Map<string, Counter>();
  for (const { tag, version, verdict, packets, bytes } of counters) {
    const key = `${tag} ${version} ${verdict}`;
    const before = sums.get(key);
    sums.set(key, {
      service: nameOf(tag),
      version,
      verdict,
      packets: packets + (before?.packets ?? 0),
      bytes: bytes + (before?.bytes ?? 0),
    });
  }
  return [...sums.values()];
}
