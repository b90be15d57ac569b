/**
 * What marks taught about other nodes, in bounded memory, and which of it is news.
 *
 * A fact is "at this peer, domains of this version of this service run, and it advertises that version with that
 * status". Peers whom the agent vouches for ("managed") and strangers have separate room and separate budgets, so
 * that a flood with forged addresses can neither push out nor delay what managed peers say.
 */
import type { GossipLimits } from "./limits.ts";
import { Room } from "./room.ts";
import type { Fact, HeardFact } from "./room.ts";

/** A mark of the data path this little newer than the last is the same: clocks are converted anew at each poll. */
const SAME_MARK_MS = 1_000;
/** How far the same moment may seem apart in two polls. */
const STAMP_JITTER_MS = 5;

/** A fact as it is kept over a restart. */
export interface SavedFact extends HeardFact {
  readonly toldAtMs: number;
}

export interface FactCounts {
  readonly managedPeers: number;
  readonly strangers: number;
  readonly facts: number;
  /** Facts that wait to be told. */
  readonly waiting: number;
  /** Marks that were dropped because their room was full, since the start. */
  readonly refused: number;
}

export class FactTable {
  readonly #limits: GossipLimits;
  readonly #managed: Room;
  readonly #strangers: Room;
  #managedAddresses: ReadonlySet<string> = new Set();

  constructor(limits: GossipLimits, nowMs: number) {
    this.#limits = limits;
    const { factsPerPeerMax, peerRate } = limits;
    this.#managed = new Room(
      { peersMax: limits.managedPeersMax, factsPerPeerMax, peerRate, rate: limits.managedRate },
      nowMs,
    );
    this.#strangers = new Room(
      { peersMax: limits.strangersMax, factsPerPeerMax, peerRate, rate: limits.strangersRate },
      nowMs,
    );
  }

  /** Peers change rooms with what is known of them; strangers beyond their bound are forgotten. */
  setManaged(addresses: ReadonlySet<string>): void {
    this.#managedAddresses = addresses;
    for (const room of [this.#managed, this.#strangers]) {
      for (const peer of room.peers()) {
        const rightful = this.#roomOf(peer.address);
        if (rightful === room) continue;
        room.leave(peer.address);
        rightful.accept(peer);
      }
    }
  }

  /** Takes in a mark. What is new waits until `news` tells it. */
  hear(heard: HeardFact, nowMs: number, sourceStampMs?: number): void {
    const room = this.#roomOf(heard.peerAddress);
    const peer = room.enter(heard.peerAddress, nowMs);
    if (peer === undefined) return;
    const key = keyOf(heard);
    const known = peer.facts.get(key);
    if (known !== undefined && sourceStampMs !== undefined && !isNewer(heard, sourceStampMs, known)) return;
    if (known === undefined && !room.makeRoomForFact(peer)) return;
    const fact = known ?? newFact(heard, nowMs, undefined);
    const changed = fact.advertisement.status !== heard.advertisement.status;
    fact.advertisement = heard.advertisement;
    fact.heardAtMs = nowMs;
    if (sourceStampMs !== undefined) fact.sourceStampMs = sourceStampMs;
    // To the end of the order of hearing; but what waits keeps its place, or it could be overtaken for ever.
    if (!fact.pending) peer.facts.delete(key);
    peer.facts.set(key, fact);
    const due = fact.toldAtMs === undefined || nowMs - fact.toldAtMs >= this.#limits.reannounceMs;
    if (changed || due) room.wait(peer, fact);
  }

  /** What may be told now. */
  news(nowMs: number): HeardFact[] {
    if (!this.#managed.waits && !this.#strangers.waits) return [];
    return [...this.#managed.news(nowMs), ...this.#strangers.news(nowMs)].map(asHeard);
  }

  /** Everything that was told already. */
  told(): HeardFact[] {
    return this.saved().map(asHeard);
  }

  saved(): SavedFact[] {
    return this.#all().flatMap((fact) =>
      fact.toldAtMs === undefined ? [] : [{ ...asHeard(fact), toldAtMs: fact.toldAtMs }],
    );
  }

  /** Takes back what `saved` gave; bounds hold here too. */
  restore(facts: readonly SavedFact[], nowMs: number): void {
    for (const { toldAtMs, ...heard } of facts) {
      const room = this.#roomOf(heard.peerAddress);
      const peer = room.enter(heard.peerAddress, nowMs);
      if (peer === undefined || !room.makeRoomForFact(peer)) continue;
      // A clock that was set back must not silence a fact for long.
      const atMs = Math.min(toldAtMs, nowMs);
      peer.facts.set(keyOf(heard), newFact(heard, atMs, atMs));
    }
  }

  /** When this peer's domains of this service were last heard, or undefined. */
  lastHeardMs(peerAddress: string, service: string): number | undefined {
    let last: number | undefined;
    for (const fact of this.#roomOf(peerAddress).peer(peerAddress)?.facts.values() ?? []) {
      if (fact.service === service && (last === undefined || fact.heardAtMs > last)) last = fact.heardAtMs;
    }
    return last;
  }

  counts(): FactCounts {
    const facts = this.#all();
    return {
      managedPeers: this.#managed.peers().length,
      strangers: this.#strangers.peers().length,
      facts: facts.length,
      waiting: facts.filter((fact) => fact.pending).length,
      refused: this.#managed.refused + this.#strangers.refused,
    };
  }

  #all(): Fact[] {
    return [...this.#managed.peers(), ...this.#strangers.peers()].flatMap((peer) => [...peer.facts.values()]);
  }

  #roomOf(address: string): Room {
    return this.#managedAddresses.has(address) ? this.#managed : this.#strangers;
  }
}

/** Written out: there may be thousands, and an object made by spreading takes a third more memory. */
function newFact(heard: HeardFact, heardAtMs: number, toldAtMs: number | undefined): Fact {
  const { peerAddress, service, senderVersion, advertisement } = heard;
  return {
    peerAddress,
    service,
    senderVersion,
    advertisement,
    heardAtMs,
    toldAtMs,
    pending: false,
    sourceStampMs: undefined,
  };
}

/**
 * The data path remembers a mark for every status that it ever saw, so at each poll the old ones come again among
 * the new: only a later one counts.
 */
function isNewer({ advertisement }: HeardFact, stampMs: number, known: Fact): boolean {
  if (known.sourceStampMs === undefined) return true;
  const changed = advertisement.status !== known.advertisement.status;
  return stampMs - known.sourceStampMs >= (changed ? STAMP_JITTER_MS : SAME_MARK_MS);
}

function keyOf(heard: HeardFact): string {
  return `${heard.service} ${heard.senderVersion} ${heard.advertisement.version}`;
}

function asHeard(fact: HeardFact): HeardFact {
  const { peerAddress, service, senderVersion, advertisement } = fact;
  return { peerAddress, service, senderVersion, advertisement };
}
