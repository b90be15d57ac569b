/**
 * The gossip core of one node: what its marks say, and what the marks of others teach. Pure: it is handed marks,
 * the time and randomness, and answers with actions. Nothing here does I/O.
 */
import type { Advertisement } from "../control/contract.ts";
import { fullBucket, takeToken } from "./bucket.ts";
import type { Bucket } from "./bucket.ts";
import { dueExchanges, isExchangeDue, startExchange } from "./exchange.ts";
import type { ExchangeState } from "./exchange.ts";
import { FactTable } from "./facts.ts";
import type { FactCounts, SavedFact } from "./facts.ts";
import type { GossipLimits } from "./limits.ts";
import type { HeardFact } from "./room.ts";
import { nextAdvertisement, sameAdvertisement, startRotation } from "./rotation.ts";
import type { Rotation } from "./rotation.ts";

/** A service as this node sees it. */
export interface LocalService {
  readonly service: string;
  readonly tag: number;
  /** Newest version that runs here, or 0. */
  readonly senderVersion: number;
  /** What may be advertised, at most one entry per version. */
  readonly advertisements: readonly Advertisement[];
}

/** News for the agent. */
export interface GossipReport {
  readonly type: "report";
  readonly fact: HeardFact;
  /** The peer runs a version that this node knows as retired or aborted. */
  readonly senderObsolete: boolean;
}

export type GossipAction =
  | GossipReport
  /** Marks of this service carry this from now on; undefined: the sender's own version. */
  | { readonly type: "advertise"; readonly tag: number; readonly advertisement: Advertisement | undefined }
  | {
      readonly type: "send";
      readonly peerAddress: string;
      readonly service: string;
      readonly senderVersion: number;
      readonly advertisements: readonly Advertisement[];
    };

interface ServiceState {
  local: LocalService;
  rotation: Rotation;
  rotateAtMs: number;
  /** What the data path was last told; null: nothing yet. */
  current: Advertisement | undefined | null;
  exchange: ExchangeState;
}

export class GossipCore {
  readonly #ownAddress: string;
  readonly #limits: GossipLimits;
  readonly #facts: FactTable;
  readonly #services = new Map<string, ServiceState>();
  readonly #byTag = new Map<number, string>();
  #peers: readonly string[] = [];
  #managed: ReadonlySet<string> = new Set();
  /** Peer and service → when the peer was last told that it is obsolete. Bounded by the fact table's peers. */
  readonly #noticedAtMs = new Map<string, number>();
  readonly #noticeBucket: Bucket;
  #notices: { peerAddress: string; service: string; advertisement: Advertisement }[] = [];

  constructor(ownAddress: string, limits: GossipLimits, nowMs: number) {
    this.#ownAddress = ownAddress;
    this.#limits = limits;
    this.#facts = new FactTable(limits, nowMs);
    this.#noticeBucket = fullBucket(limits.noticeRate, nowMs);
  }

  /** O(n log n); direct marks go to all of them, in turns. */
  setManagedPeers(addresses: readonly string[]): void {
    const others = new Set(addresses.filter((address) => address !== this.#ownAddress));
    this.#peers = [...others].toSorted();
    this.#managed = new Set(this.#peers);
    this.#facts.setManaged(this.#managed);
  }

  isManaged(address: string): boolean {
    return this.#managed.has(address);
  }

  setService(local: LocalService, nowMs: number): void {
    const known = this.#services.get(local.service);
    const unchanged =
      known !== undefined &&
      known.local.advertisements.length === local.advertisements.length &&
      local.advertisements.every((now) =>
        known.local.advertisements.some((before) => sameAdvertisement(before, now)),
      );
    this.#byTag.set(local.tag, local.service);
    this.#services.set(local.service, {
      local,
      rotation: unchanged
        ? known.rotation
        : startRotation(local.advertisements, known?.rotation ?? [], nowMs),
      rotateAtMs: unchanged ? known.rotateAtMs : nowMs,
      current: known === undefined ? null : known.current,
      exchange: unchanged
        ? known.exchange
        : { ...startExchange(nowMs, this.#limits), cursor: known?.exchange.cursor },
    });
  }

  removeService(service: string): void {
    const known = this.#services.get(service);
    if (known === undefined) return;
    this.#services.delete(service);
    this.#byTag.delete(known.local.tag);
  }

  /** A mark that the data path saw. `stampMs` is its own time of it, of any clock: unchanged, nothing was heard. */
  hearTag(mark: Omit<HeardFact, "service"> & { readonly tag: number }, stampMs: number, nowMs: number): void {
    const service = this.#byTag.get(mark.tag);
    if (service === undefined) return;
    const { peerAddress, senderVersion, advertisement } = mark;
    this.#hear({ peerAddress, service, senderVersion, advertisement }, nowMs, stampMs);
  }

  /** A direct mark, which names its service. */
  hearDirect(heard: HeardFact, nowMs: number): void {
    this.#hear(heard, nowMs, undefined);
  }

  /**
   * What is to be done now. Call it after every hearing and a few times a second: almost always there is nothing to
   * do, and that costs next to nothing.
   */
  tick(nowMs: number, random: () => number): GossipAction[] {
    const actions: GossipAction[] = this.#reports(nowMs);
    if (this.#notices.length > 0) actions.push(...this.#sendNotices());
    for (const state of this.#services.values()) {
      if (nowMs >= state.rotateAtMs) actions.push(...this.#rotate(state, nowMs, random));
      if (isExchangeDue(state.exchange, this.#peers, nowMs)) {
        actions.push(...this.#exchange(state, nowMs, random));
      }
    }
    return actions;
  }

  /** The data path did not take the advertisement; the next turn tells it again. */
  advertiseFailed(tag: number): void {
    const state = this.#services.get(this.#byTag.get(tag) ?? "");
    if (state !== undefined) state.current = null;
  }

  /** Everything reported so far, for an agent that starts anew. */
  reported(): GossipReport[] {
    return this.#facts.told().map((fact) => this.#report(fact));
  }

  savedFacts(): SavedFact[] {
    return this.#facts.saved();
  }

  restoreFacts(facts: readonly SavedFact[], nowMs: number): void {
    this.#facts.restore(facts, nowMs);
  }

  counts(): FactCounts {
    return this.#facts.counts();
  }

  #hear(heard: HeardFact, nowMs: number, stampMs: number | undefined): void {
    if (heard.peerAddress === this.#ownAddress) return;
    this.#facts.hear(heard, nowMs, stampMs);
    const ended = this.#endedStatusOf(heard);
    if (ended === undefined || knowsItsEnd(heard)) return;
    const key = `${heard.peerAddress} ${heard.service}`;
    const noticedAtMs = this.#noticedAtMs.get(key);
    if (noticedAtMs !== undefined && nowMs - noticedAtMs < this.#limits.noticeMs) return;
    if (!takeToken(this.#noticeBucket, this.#limits.noticeRate, nowMs)) return;
    this.#rememberNotice(key, nowMs);
    this.#notices.push({ peerAddress: heard.peerAddress, service: heard.service, advertisement: ended });
  }

  /** Our own advertisement that says that the sender's version is over, if we have one. */
  #endedStatusOf(heard: HeardFact): Advertisement | undefined {
    return this.#services
      .get(heard.service)
      ?.local.advertisements.find((own) => own.version === heard.senderVersion && isEnded(own));
  }

  #rememberNotice(key: string, nowMs: number): void {
    this.#noticedAtMs.delete(key);
    this.#noticedAtMs.set(key, nowMs);
    const max = this.#limits.managedPeersMax + this.#limits.strangersMax;
    for (const oldest of this.#noticedAtMs.keys()) {
      if (this.#noticedAtMs.size <= max) break;
      this.#noticedAtMs.delete(oldest);
    }
  }

  #reports(nowMs: number): GossipReport[] {
    return this.#facts.news(nowMs).map((fact) => this.#report(fact));
  }

  #report(fact: HeardFact): GossipReport {
    return {
      type: "report",
      fact,
      senderObsolete: this.#endedStatusOf(fact) !== undefined && !knowsItsEnd(fact),
    };
  }

  /** A notice is no longer than the mark that caused it, so a forged sender gains nothing by asking for it. */
  #sendNotices(): GossipAction[] {
    const notices = this.#notices;
    this.#notices = [];
    return notices.map(({ peerAddress, service, advertisement }) => ({
      type: "send",
      peerAddress,
      service,
      senderVersion: senderOf(this.#services.get(service)?.local, advertisement),
      advertisements: [advertisement],
    }));
  }

  #exchange(
    { local, rotation, exchange }: ServiceState,
    nowMs: number,
    random: () => number,
  ): GossipAction[] {
    const advertisements = rotation.map((entry) => entry.advertisement);
    const [newest] = advertisements;
    if (newest === undefined) return [];
    const { service } = local;
    const senderVersion = senderOf(local, newest);
    const quiet = (peer: string) =>
      nowMs - (this.#facts.lastHeardMs(peer, service) ?? Number.NEGATIVE_INFINITY) >= this.#limits.exchangeMs;
    const chosen = dueExchanges(exchange, this.#peers, quiet, this.#limits, nowMs, random);
    return chosen.map((peerAddress) => ({
      type: "send",
      peerAddress,
      service,
      senderVersion,
      advertisements,
    }));
  }

  #rotate(state: ServiceState, nowMs: number, random: () => number): GossipAction[] {
    // Varied, so that traffic with a beat of its own does not carry the same advertisement each time.
    state.rotateAtMs = nowMs + this.#limits.rotateMs * (0.5 + random());
    const { tag, senderVersion } = state.local;
    const turn = nextAdvertisement(state.rotation);
    const own = turn?.version === senderVersion && turn.status === "running";
    const advertisement = own && state.rotation.length === 1 ? undefined : turn;
    if (state.current !== null && sameAdvertisement(state.current, advertisement)) return [];
    state.current = advertisement;
    return [{ type: "advertise", tag, advertisement }];
  }
}

/**
 * The version that a direct mark names as its sender's. A mark has no word for "none runs here": a node that only
 * has a version names that one, and one that only knows ended versions names the one that it speaks of.
 */
function senderOf(local: LocalService | undefined, spokenOf: Advertisement): number {
  if (local !== undefined && local.senderVersion > 0) return local.senderVersion;
  const alive = local?.advertisements.filter((own) => !isEnded(own)).map((own) => own.version) ?? [];
  return alive.length > 0 ? Math.max(...alive) : spokenOf.version;
}

/** A sender that itself says so needs no notice. */
function knowsItsEnd({ senderVersion, advertisement }: HeardFact): boolean {
  return advertisement.version === senderVersion && isEnded(advertisement);
}

function isEnded({ status }: Advertisement): boolean {
  return status === "retired" || status === "aborted";
}
