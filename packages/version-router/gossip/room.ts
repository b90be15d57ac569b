/** Room for one class of peers: their facts, who waits to tell news, and the budget that they share. */
import type { Advertisement } from "../control/contract.ts";
import { fullBucket, takeToken } from "./bucket.ts";
import type { Bucket, BucketRate } from "./bucket.ts";

export interface HeardFact {
  readonly peerAddress: string;
  readonly service: string;
  /** What the mark says its sender runs, or, if none of this service runs there, a version that it has. */
  readonly senderVersion: number;
  readonly advertisement: Advertisement;
}

export interface Fact extends HeardFact {
  advertisement: Advertisement;
  heardAtMs: number;
  /** Undefined: not told yet. */
  toldAtMs: number | undefined;
  pending: boolean;
  /** The data path's own time of this mark; asked again and unchanged, it was not heard again. */
  sourceStampMs: number | undefined;
}

export interface Peer {
  readonly address: string;
  /** In order of hearing, except that what waits to be told keeps its place. */
  readonly facts: Map<string, Fact>;
  readonly bucket: Bucket;
}

export interface RoomLimits {
  readonly peersMax: number;
  readonly factsPerPeerMax: number;
  readonly rate: BucketRate;
  readonly peerRate: BucketRate;
}

export class Room {
  readonly #limits: RoomLimits;
  /** In order of last hearing. */
  readonly #peers = new Map<string, Peer>();
  /** Peers that have something to tell, in order of waiting. */
  readonly #queue = new Set<string>();
  readonly #bucket: Bucket;
  #refused = 0;

  constructor(limits: RoomLimits, nowMs: number) {
    this.#limits = limits;
    this.#bucket = fullBucket(limits.rate, nowMs);
  }

  /** Marks dropped because there was no room, since the start. */
  get refused(): number {
    return this.#refused;
  }

  /** Somebody may have something to tell. */
  get waits(): boolean {
    return this.#queue.size > 0;
  }

  peers(): Peer[] {
    return [...this.#peers.values()];
  }

  peer(address: string): Peer | undefined {
    return this.#peers.get(address);
  }

  /** The peer, as just heard; undefined when there is no room for another. */
  enter(address: string, nowMs: number): Peer | undefined {
    const known = this.#peers.get(address);
    const peer = known ?? { address, facts: new Map(), bucket: fullBucket(this.#limits.peerRate, nowMs) };
    if (known !== undefined) this.#peers.delete(address);
    return this.accept(peer) ? peer : undefined;
  }

  /** Takes a peer that comes from another room. */
  accept(peer: Peer): boolean {
    if (!this.#makeRoomForPeer()) return false;
    this.#peers.set(peer.address, peer);
    if (oldestPending(peer) !== undefined) this.#queue.add(peer.address);
    return true;
  }

  leave(address: string): void {
    this.#peers.delete(address);
    this.#queue.delete(address);
  }

  /** Forgets the fact not heard for longest, but none that waits to be told: a flood may delay, not silence. */
  makeRoomForFact(peer: Peer): boolean {
    if (peer.facts.size < this.#limits.factsPerPeerMax) return true;
    for (const [key, fact] of peer.facts) {
      if (fact.pending) continue;
      peer.facts.delete(key);
      return true;
    }
    this.#refused += 1;
    return false;
  }

  wait(peer: Peer, fact: Fact): void {
    fact.pending = true;
    this.#queue.add(peer.address);
  }

  /** What may be told now, in turns among the waiting peers, oldest first within a peer. */
  news(nowMs: number): Fact[] {
    const news: Fact[] = [];
    // A peer that may tell more goes to the end of the queue, which this loop then reaches again.
    for (const address of this.#queue) {
      const peer = this.#peers.get(address);
      const fact = peer && oldestPending(peer);
      if (peer === undefined || fact === undefined) {
        this.#queue.delete(address);
        continue;
      }
      if (!takeToken(peer.bucket, this.#limits.peerRate, nowMs)) continue;
      if (!takeToken(this.#bucket, this.#limits.rate, nowMs)) {
        peer.bucket.tokens += 1;
        break;
      }
      fact.pending = false;
      fact.toldAtMs = nowMs;
      news.push(fact);
      this.#queue.delete(address);
      if (oldestPending(peer) !== undefined) this.#queue.add(address);
    }
    return news;
  }

  /** Forgets the peer not heard for longest, but none that still has something to tell. */
  #makeRoomForPeer(): boolean {
    if (this.#peers.size < this.#limits.peersMax) return true;
    for (const address of this.#peers.keys()) {
      if (this.#queue.has(address)) continue;
      this.leave(address);
      return true;
    }
    this.#refused += 1;
    return false;
  }
}

function oldestPending(peer: Peer): Fact | undefined {
  for (const fact of peer.facts.values()) if (fact.pending) return fact;
  return undefined;
}
