/** What all client connections of a proxy share. */
import type { VersionSet } from "../versions/version-set.ts";
import type { ClientExchanges } from "./client-exchanges.ts";
import { Comparisons } from "./compare.ts";
import type { Exchange } from "./exchange.ts";
import { ProxyEvents } from "./events.ts";
import { KeyOrder } from "./key-order.ts";
import {
  DEFAULT_DATAGRAM_LIMITS,
  DEFAULT_EXCHANGE_LIMITS,
  type DatagramDrops,
  type ExchangeLimits,
  type FramedProxyOptions,
  type VersionCounts,
} from "./options.ts";
import { Quarantine } from "./quarantine.ts";
import { isNewestOfSeveral, Roles } from "./roles.ts";

export class SharedState<Request, Reply> {
  readonly options: FramedProxyOptions<Request, Reply>;
  readonly limits: ExchangeLimits;
  readonly keyOrder = new KeyOrder();
  readonly events = new ProxyEvents();
  readonly roles: Roles;
  readonly quarantine: Quarantine | undefined;
  readonly comparisons: Comparisons<Request, Reply> | undefined;
  readonly counts = new Map<number, VersionCounts>();
  readonly datagramDrops: DatagramDrops = { malformed: 0, busy: 0, unasked: 0 };
  /** The connections that live. */
  readonly clients = new Set<Pick<ClientExchanges<Request, Reply>, "onVersionsChanged">>();

  constructor(options: FramedProxyOptions<Request, Reply>) {
    const { compare, framing, limits, shadow, sickVersions = "strict" } = options;
    const { serverIdleMs = DEFAULT_EXCHANGE_LIMITS.serverIdleMs } = framing;
    this.options = options;
    const ofKind = framing.datagram === undefined ? {} : DEFAULT_DATAGRAM_LIMITS;
    this.limits = { ...DEFAULT_EXCHANGE_LIMITS, ...ofKind, serverIdleMs, ...limits };
    if (sickVersions !== "strict") {
      this.quarantine = new Quarantine(sickVersions === "quarantine" ? {} : sickVersions);
    }
    if (compare !== undefined) this.comparisons = new Comparisons(options, compare);
    this.roles = new Roles(
      this.quarantine,
      shadow === undefined ? undefined : (shadow.versions ?? isNewestOfSeveral),
    );
  }

  countsOf(version: number): VersionCounts {
    const known = this.counts.get(version) ?? { sent: 0, replied: 0, failed: 0, retried: 0, dropped: 0 };
    this.counts.set(version, known);
    return known;
  }

  isSuccess(reply: Reply, request: Request): boolean {
    const { framing, isSuccess } = this.options;
    return (isSuccess ?? framing.isSuccess)?.(reply, request) ?? true;
  }

  /** Looks for signs of a sick version in a write that all have done or failed; what follows of it concerns everybody. */
  judge(exchange: Exchange<Request, Reply>, running: VersionSet, nowMs: number): void {
    const { attempts, classified, judged, scope } = exchange;
    if (this.quarantine === undefined || judged || classified.kind === "read" || exchange.oneWay) return;
    if (scope === undefined || scope.size < 2) return;
    if ([...scope].some((version) => (attempts.get(version)?.outcome.kind ?? "pending") === "pending"))
      return;
    exchange.judged = true;
    const request = exchange.request as Request;
    const judgement = {
      isSuccess: (reply: Reply) => this.isSuccess(reply, request),
      isFault: (reply: Reply) => this.options.framing.isFault?.(reply, request) ?? false,
    };
    const sick = this.quarantine.judge(exchange, judgement, this.roles.answering(running));
    for (const { version, detail } of sick) {
      this.events.add({ atMs: nowMs, kind: "version-quarantined", version, detail });
    }
    if (sick.length > 0) this.#rolesChanged();
  }

  readmit(version: number, nowMs: number): boolean {
    if (this.quarantine?.readmit(version) !== true) return false;
    this.events.add({ atMs: nowMs, kind: "version-readmitted", version, detail: "it was told to come back" });
    this.#rolesChanged();
    return true;
  }

  #rolesChanged(): void {
    for (const client of Array.from(this.clients)) client.onVersionsChanged();
  }
}
