/**
 * The router as its control API sees it: keeps domains, ports, client paths and advertisements in step between the
 * data path and the gossip core. Opens no sockets and reads no clock of its own.
 */
import type {
  Advertisement,
  ClientPath,
  DomainLink,
  FlowFilter,
  FlowList,
  LinkKind,
  LinkLimits,
  PeerCounter,
  PortSet,
  PortSpec,
  RouterControl,
  RouterEvent,
  RouterStatus,
  ServicePolicy,
  VersionKey,
} from "../control/contract.ts";
import type { DataPath } from "../datapath/datapath.ts";
import { RouterError } from "../errors.ts";
import type { GossipCore, GossipReport } from "../gossip/core.ts";
import { findConflicts } from "../ports/claims.ts";
import { PORTS_PER_DOMAIN_MAX, samePorts, unionPorts, withoutPorts } from "../ports/spec.ts";
import { DomainTable } from "./domain-table.ts";
import type { TabledDomain } from "./domain-table.ts";
import type { NewsFeed } from "./news-feed.ts";
import type { SavedState } from "./state-file.ts";
import { Turnstile } from "./turnstile.ts";
import { warningsOf } from "./warnings.ts";

export interface RouterParts {
  readonly dataPath: DataPath;
  readonly gossip: GossipCore;
  readonly news: NewsFeed;
  readonly tagOf: (service: string) => number;
  /** Of these ports, those that a process of this host listens on → which process. */
  readonly hostListeners: (ports: readonly PortSpec[]) => Promise<ReadonlyMap<PortSpec, string>>;
  /** Port numbers that the node uses itself → what for. */
  readonly reservedPorts: ReadonlyMap<number, string>;
  readonly save: (state: SavedState) => Promise<void>;
  readonly nowMs: () => number;
  readonly identity: Pick<
    RouterStatus,
    "dataPathReason" | "serviceAddress" | "serviceAddress6" | "uplink" | "pid" | "startedAtMs"
  >;
  /** Managed peers of the configuration file. */
  readonly configuredPeers: readonly string[];
}

export class Router implements Omit<RouterControl, "events" | "trace"> {
  readonly #parts: RouterParts;
  readonly #table: DomainTable;
  readonly #advertisements = new Map<string, readonly Advertisement[]>();
  readonly #turnstile = new Turnstile();
  #agentsPeers: readonly string[] = [];

  constructor(parts: RouterParts) {
    this.#parts = parts;
    this.#table = new DomainTable(parts.dataPath, parts.tagOf);
  }

  /** Takes up the work of an earlier daemon. The data path must be open. */
  async restore(saved: SavedState): Promise<void> {
    const { gossip, nowMs } = this.#parts;
    await this.#table.restore();
    for (const [service, list] of Object.entries(saved.advertisements))
      this.#advertisements.set(service, list);
    this.#agentsPeers = saved.managedPeers;
    gossip.setManagedPeers(this.#managedPeers());
    gossip.restoreFacts(saved.facts, nowMs());
    // With nobody known, what the data path remembers is the better knowledge.
    if (this.#managedPeers().length > 0) await this.#parts.dataPath.setManagedPeers(this.#managedPeers());
    const services = [...this.#advertisements.keys(), ...this.#table.all().map((domain) => domain.service)];
    for (const service of new Set(services)) await this.#tellGossip(service);
  }

  async status(): Promise<RouterStatus> {
    const { dataPath, identity, nowMs } = this.#parts;
    return {
      dataPath: dataPath.kind,
      ...identity,
      domains: this.#table.all().map(({ slot: _slot, kind: _kind, ...domain }) => domain),
      clientPaths: await dataPath.clientPaths(),
      policies: (await dataPath.policies?.()) ?? {},
      counters: await dataPath.counters(),
      warnings: warningsOf(await dataPath.peerCounters(), nowMs()),
    };
  }

  flows(filter: FlowFilter): Promise<FlowList> {
    return this.#parts.dataPath.flows(filter);
  }

  peerCounters(): Promise<readonly PeerCounter[]> {
    return this.#parts.dataPath.peerCounters();
  }

  attachDomain({ kind, ...key }: VersionKey & LinkLimits & { readonly kind: LinkKind }): Promise<DomainLink> {
    return this.#turnstile.run(async () => {
      this.#refuseSameTag(key.service);
      const link = await this.#table.attach(key, kind);
      await this.#tellGossip(key.service);
      return link;
    });
  }

  detachDomain(key: VersionKey): Promise<void> {
    return this.#turnstile.run(async () => {
      const domain = this.#table.find(key);
      if (domain === undefined) return;
      const path = (await this.#parts.dataPath.clientPaths())[key.service];
      // Clients must not be led to a slot that another domain may get next.
      if (path?.kind === "direct" && path.version === key.version)
        await this.#parts.dataPath.setClientPath(key.service, { kind: "closed" });
      await this.#table.detach(domain);
      await this.#tellGossip(key.service);
    });
  }

  registerPorts(key: VersionKey, ports: PortSet): Promise<void> {
    return this.#turnstile.run(async () => {
      const domain = this.#table.get(key);
      const wanted = unionPorts(domain.ports, ports);
      if (samePorts(wanted, domain.ports)) return;
      await this.#refuseTaken(domain, wanted);
      await this.#setPorts(domain, wanted);
    });
  }

  /** Takes ports back; those that are not registered are fine. */
  unregisterPorts(key: VersionKey, ports: PortSet): Promise<void> {
    return this.#turnstile.run(async () => {
      const domain = this.#table.get(key);
      const left = withoutPorts(domain.ports, ports);
      if (!samePorts(left, domain.ports)) await this.#setPorts(domain, left);
    });
  }

  setClientPath(service: string, path: ClientPath): Promise<void> {
    return this.#turnstile.run(async () => {
      if (path.kind === "direct") this.#table.get({ service, version: path.version });
      await this.#parts.dataPath.setClientPath(service, path);
    });
  }

  setPolicy(service: string, policy: ServicePolicy): Promise<void> {
    return this.#turnstile.run(async () => {
      this.#refuseSameTag(service);
      const { dataPath } = this.#parts;
      if (dataPath.setPolicy !== undefined) return dataPath.setPolicy(service, policy);
      if (policy.unmanagedPeers === "deny") return;
      const message = `The ${dataPath.kind} data path speaks only with managed peers; leave unmanagedPeers at deny.`;
      throw new RouterError("E_BAD_REQUEST", message);
    });
  }

  async directConnections(key: VersionKey): Promise<{ readonly open: number }> {
    return { open: await this.#parts.dataPath.directConnections(this.#table.get(key).slot) };
  }

  resetDirectConnections(key: VersionKey): Promise<{ readonly reset: number }> {
    return this.#turnstile.run(async () => ({
      reset: await this.#parts.dataPath.resetDirectConnections(this.#table.get(key).slot),
    }));
  }

  setAdvertisements(service: string, advertisements: readonly Advertisement[]): Promise<void> {
    return this.#turnstile.run(async () => {
      this.#refuseSameTag(service);
      if (advertisements.length === 0) this.#advertisements.delete(service);
      else this.#advertisements.set(service, advertisements);
      await this.#tellGossip(service);
      await this.save();
    });
  }

  setManagedPeers(addresses: readonly string[]): Promise<void> {
    return this.#turnstile.run(async () => {
      this.#agentsPeers = addresses;
      await this.#parts.dataPath.setManagedPeers(this.#managedPeers());
      this.#parts.gossip.setManagedPeers(this.#managedPeers());
      await this.save();
    });
  }

  /** What a listener that comes now has missed. */
  history(): RouterEvent[] {
    const registered = this.#table
      .all()
      .filter(({ ports }) => ports.peer.length + ports.client.length > 0)
      .map(({ service, version, ports }): RouterEvent => ({ type: "registered", service, version, ports }));
    return [...registered, ...this.#parts.gossip.reported().map(heardEvent)];
  }

  domainAt(managementAddress: string): TabledDomain | undefined {
    return this.#table.byManagementAddress(managementAddress);
  }

  /** Everything that `restore` wants back. */
  save(): Promise<void> {
    return this.#parts.save({
      format: 1,
      advertisements: Object.fromEntries(
        [...this.#advertisements].map(([service, list]) => [service, [...list]]),
      ),
      managedPeers: [...this.#agentsPeers],
      facts: this.#parts.gossip.savedFacts(),
    });
  }

  /** Waits for changes that are under way, then saves. */
  settle(): Promise<void> {
    return this.#turnstile.run(() => this.save());
  }

  #managedPeers(): string[] {
    const all = new Set([...this.#parts.configuredPeers, ...this.#agentsPeers]);
    const { serviceAddress, serviceAddress6 } = this.#parts.identity;
    all.delete(serviceAddress);
    if (serviceAddress6 !== undefined) all.delete(serviceAddress6);
    return [...all];
  }

  async #refuseTaken(domain: TabledDomain, wanted: PortSet): Promise<void> {
    if (wanted.peer.length + wanted.client.length > PORTS_PER_DOMAIN_MAX) {
      throw new RouterError("E_BAD_REQUEST", `Register at most ${PORTS_PER_DOMAIN_MAX} ports per domain.`);
    }
    const { hostListeners, reservedPorts } = this.#parts;
    const conflicts = findConflicts(
      { ...domain, ports: wanted },
      {
        claims: this.#table.all(),
        reserved: reservedPorts,
        listening: await hostListeners([...wanted.peer, ...wanted.client]),
      },
    );
    if (conflicts.length === 0) return;
    const held = conflicts.map(({ port, holder }) => `${port} is held by ${holder}`).join("; ");
    throw new RouterError("E_PORT_TAKEN", `Choose other ports for ${domain.service}: ${held}.`);
  }

  async #setPorts(domain: TabledDomain, ports: PortSet): Promise<void> {
    await this.#table.setPorts(domain, ports);
    const { service, version } = domain;
    this.#parts.news.publish({ type: "registered", service, version, ports });
  }

  /** Marks carry 16 bits of a service's name; two services with the same ones would hear each other. */
  #refuseSameTag(service: string): void {
    const { tagOf } = this.#parts;
    const others = [...this.#advertisements.keys(), ...this.#table.all().map((domain) => domain.service)];
    const twin = others.find((other) => other !== service && tagOf(other) === tagOf(service));
    if (twin === undefined) return;
    throw new RouterError(
      "E_BAD_REQUEST",
      `Services ${service} and ${twin} have the same tag on the wire; rename one of them.`,
    );
  }

  async #tellGossip(service: string): Promise<void> {
    const { gossip, dataPath, tagOf, nowMs } = this.#parts;
    const given = this.#advertisements.get(service);
    const versions = this.#table
      .all()
      .filter((domain) => domain.service === service)
      .map((domain) => domain.version);
    if (given === undefined && versions.length === 0) {
      gossip.removeService(service);
      await dataPath.setAdvertisement(tagOf(service), undefined);
      return;
    }
    // What the agent says runs is what runs; a domain that it has not spoken for is only being prepared.
    const running = (given ?? []).filter(
      ({ status, version }) => status === "running" && versions.includes(version),
    );
    const senderVersion = Math.max(
      0,
      ...(running.length > 0 ? running.map(({ version }) => version) : versions),
    );
    const own: Advertisement[] = senderVersion > 0 ? [{ version: senderVersion, status: "running" }] : [];
    gossip.setService({ service, tag: tagOf(service), senderVersion, advertisements: given ?? own }, nowMs());
  }
}

/** A report of the gossip core as the agent hears it. */
export function heardEvent({ fact, senderObsolete }: GossipReport): RouterEvent {
  return { type: "heard", ...fact, ...(senderObsolete ? { senderObsolete } : {}) };
}
