/** Turns what the router hears and what other agents tell into hints, and hints into versions of the journal. */
import type { RouterControl } from "@version-manager/version-router";
import { exchangeDigests } from "../fleet/exchange.ts";
import { type FleetView, mergeDigests, type NodeDigest } from "../fleet/view.ts";
import { type Hint, isDue, isNews } from "../lifecycle/discovery.ts";
import { isComplete } from "../lifecycle/stages.ts";
import type { Upgrade } from "../lifecycle/machine.ts";
import type { AgentConfig } from "./config.ts";

export interface NewsOptions {
  readonly config: AgentConfig;
  readonly router: RouterControl;
  readonly now: () => number;
  /** 0…1, for the choice of whom to ask. */
  readonly random: () => number;
  readonly own: () => NodeDigest;
  readonly upgrades: () => readonly Upgrade[];
  readonly otherNodes: () => readonly string[];
  readonly learn: (hint: Hint) => void;
  /** Some node says that a version was retired; the signed statement is there. */
  readonly learnRetirement: (service: string, version: number, source: string) => void;
}

/** Hints remembered while they wait; a stranger can cost no more. */
const pendingMax = 256;

export class News {
  readonly #options: NewsOptions;
  readonly #stopped = new AbortController();
  readonly #pending = new Map<string, Hint & { readonly sinceMs: number }>();
  #view: FleetView = new Map();
  #timer: NodeJS.Timeout | undefined;
  #asking = false;

  constructor(options: NewsOptions) {
    this.#options = options;
  }

  get view(): FleetView {
    return this.#view;
  }

  start(): void {
    void this.#listen();
    this.#timer = setInterval(() => void this.#ask(), this.#options.config.exchangeIntervalMs);
  }

  stop(): void {
    clearInterval(this.#timer);
    this.#stopped.abort();
  }

  /** Digests that came in, of whatever node but this one. */
  merge(digests: readonly NodeDigest[]): void {
    const foreign = digests.filter((digest) => digest.address !== this.#options.config.serviceAddress);
    this.#view = mergeDigests(this.#view, foreign, this.#options.now());
  }

  async #listen(): Promise<void> {
    for await (const event of this.#options.router.events(this.#stopped.signal)) {
      if (event.type !== "heard") continue;
      // Agents answer at IPv4 addresses only. Who marks over IPv6 is heard of by direct marks over IPv4 as well.
      if (event.peerAddress.includes(":")) continue;
      const { service, peerAddress: source, advertisement, senderVersion } = event;
      if (advertisement.status === "retired") {
        this.#options.learnRetirement(service, advertisement.version, source);
      } else if (advertisement.status !== "aborted") {
        this.#offer({ service, version: advertisement.version, source, learnedBy: "mark" });
      }
      this.#offer({ service, version: senderVersion, source, learnedBy: "mark" });
    }
  }

  async #ask(): Promise<void> {
    const { config, otherNodes, own, random } = this.#options;
    const others = otherNodes();
    const address = others[Math.floor(random() * others.length)];
    if (address === undefined || this.#asking) return;
    this.#asking = true;
    try {
      const digests = await exchangeDigests(address, config.peerApiPort, own());
      this.merge(digests);
    } catch {
      // A node that is down or talks nonsense teaches nothing; another is asked next time.
    } finally {
      this.#asking = false;
    }
    this.#readView();
  }

  #readView(): void {
    for (const node of this.#view.values()) {
      for (const { service, version, stage } of node.versions) {
        if (stage === "retired") this.#options.learnRetirement(service, version, node.address);
        else if (isComplete(stage))
          this.#offer({ service, version, source: node.address, learnedBy: "exchange" });
      }
    }
  }

  #offer(hint: Hint): void {
    const { upgrades, now, config, learn } = this.#options;
    const key = `${hint.service} ${hint.version}`;
    if (!isNews(upgrades(), hint)) {
      this.#pending.delete(key);
      return;
    }
    const waiting = this.#pending.get(key) ?? { ...hint, sinceMs: now() };
    if (isDue(upgrades(), hint, now() - waiting.sinceMs, config.exchangeHintDelayMs)) {
      this.#pending.delete(key);
      learn(hint);
    } else if (this.#pending.size < pendingMax) {
      this.#pending.set(key, waiting);
    }
  }
}
