/** Drives the gossip core: polls the data path, takes in direct marks, and carries out what the core wants done. */
import type { DataPath } from "../datapath/datapath.ts";
import { fullBucket, takeToken } from "../gossip/bucket.ts";
import type { BucketRate } from "../gossip/bucket.ts";
import type { GossipAction, GossipCore } from "../gossip/core.ts";
import { decodeDirectMark, encodeDirectMark } from "../gossip/direct-mark.ts";
import type { ExchangeCounts } from "../metrics/router-metrics.ts";
import type { NewsFeed } from "./news-feed.ts";
import { heardEvent } from "./router.ts";

/** Datagrams taken in per second, for managed peers and strangers apart: what a flood may cost in processor time. */
const INTAKE: BucketRate = { burst: 512, perSecond: 256 };
/** What was heard is written down at most this often. */
const SAVE_EVERY_MS = 5_000;

export interface GossipDriverParts {
  readonly dataPath: DataPath;
  readonly gossip: GossipCore;
  readonly news: NewsFeed;
  readonly send: (datagram: Uint8Array, peerAddress: string) => Promise<void>;
  readonly save: () => Promise<void>;
  readonly nowMs: () => number;
  readonly random: () => number;
  readonly onFault: (error: unknown) => void;
}

export class GossipDriver {
  readonly counts: ExchangeCounts = {
    sent: 0,
    sendFailed: 0,
    heard: 0,
    malformed: 0,
    overRate: 0,
    dataPathFaults: 0,
  };
  readonly #parts: GossipDriverParts;
  readonly #managedIntake;
  readonly #strangersIntake;
  #unsaved = false;
  #savedAtMs: number;

  constructor(parts: GossipDriverParts) {
    this.#parts = parts;
    this.#savedAtMs = parts.nowMs();
    this.#managedIntake = fullBucket(INTAKE, parts.nowMs());
    this.#strangersIntake = fullBucket(INTAKE, parts.nowMs());
  }

  /** One round: what the data path heard, then what follows from it. Never throws. */
  async poll(): Promise<void> {
    const { dataPath, gossip, nowMs } = this.#parts;
    try {
      for (const { lastHeardMs, ...mark } of await dataPath.heard())
        gossip.hearTag(mark, lastHeardMs, nowMs());
    } catch (error) {
      this.counts.dataPathFaults += 1;
      this.#parts.onFault(error);
    }
    await this.#act();
    await this.#saveIfDue();
  }

  /** A datagram at the exchange port. */
  async receive(datagram: Uint8Array, peerAddress: string): Promise<void> {
    const { gossip, nowMs } = this.#parts;
    const intake = gossip.isManaged(peerAddress) ? this.#managedIntake : this.#strangersIntake;
    if (!takeToken(intake, INTAKE, nowMs())) {
      this.counts.overRate += 1;
      return;
    }
    const direct = decodeDirectMark(datagram);
    if (direct === undefined) {
      this.counts.malformed += 1;
      return;
    }
    this.counts.heard += 1;
    const { service, senderVersion } = direct;
    for (const advertisement of direct.advertisements) {
      gossip.hearDirect({ peerAddress, service, senderVersion, advertisement }, nowMs());
    }
    await this.#act();
  }

  async #act(): Promise<void> {
    const { gossip, nowMs, random } = this.#parts;
    for (const action of gossip.tick(nowMs(), random)) await this.#carryOut(action);
  }

  async #carryOut(action: GossipAction): Promise<void> {
    const { dataPath, gossip, news } = this.#parts;
    if (action.type === "report") {
      this.#unsaved = true;
      news.publish(heardEvent(action));
    } else if (action.type === "send") {
      await this.#send(action);
    } else {
      await dataPath.setAdvertisement(action.tag, action.advertisement).catch((error: unknown) => {
        this.counts.dataPathFaults += 1;
        gossip.advertiseFailed(action.tag);
        this.#parts.onFault(error);
      });
    }
  }

  /** A peer that cannot be reached is no fault of this node; the count tells. */
  async #send({ peerAddress, ...direct }: Extract<GossipAction, { type: "send" }>): Promise<void> {
    try {
      await this.#parts.send(encodeDirectMark(direct), peerAddress);
      this.counts.sent += 1;
    } catch {
      this.counts.sendFailed += 1;
    }
  }

  async #saveIfDue(): Promise<void> {
    const now = this.#parts.nowMs();
    if (!this.#unsaved || now - this.#savedAtMs < SAVE_EVERY_MS) return;
    this.#unsaved = false;
    this.#savedAtMs = now;
    await this.#parts.save().catch(this.#parts.onFault);
  }
}
