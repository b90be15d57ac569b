/**
 * A data path in memory, for tests of whatever stands above one. It keeps its state over `close` and `open`, as
 * the real one keeps it in the kernel, and passes the same compliance suite.
 */
import { RouterError } from "../errors.ts";
import type {
  Advertisement,
  ClientPath,
  Counter,
  DomainLink,
  Flow,
  FlowFilter,
  FlowList,
  PeerCounter,
  PortSet,
  ServicePolicy,
  TraceFilter,
  TracedPacket,
} from "../control/contract.ts";
import type { DataPath, DomainEntry, HeardMark, TraceBatch } from "./datapath.ts";
import { selectFlows } from "./flow-list.ts";
import { isAskedFor } from "./trace-filter.ts";

const NO_PORTS: PortSet = { peer: [], client: [] };

export interface FakeDataPathOptions {
  readonly serviceAddress: string;
  /** Management address of a slot; default 169.254.128.(slot+1). */
  readonly managementAddress?: (slot: number) => string;
}

interface FakeDomain {
  entry: DomainEntry;
  readonly link: DomainLink;
  ports: PortSet;
  connections: number;
}

export class FakeDataPath implements DataPath {
  readonly kind = "kernel";
  /** Marks that `heard` gives; tests add to it. */
  readonly marks: HeardMark[] = [];
  readonly verdicts: Counter[] = [];
  readonly peerVerdicts: PeerCounter[] = [];
  readonly openFlows: Flow[] = [];
  /** What is asked for while somebody traces. */
  tracing: TraceFilter | undefined;
  readonly advertisements = new Map<number, Advertisement | undefined>();
  managedPeers: readonly string[] = [];
  opened = false;
  destroyed = false;
  /** Thrown by the next call that changes something, once. */
  failNext: Error | undefined;
  readonly #options: FakeDataPathOptions;
  readonly #domains = new Map<number, FakeDomain>();
  readonly #clientPaths = new Map<string, ClientPath>();
  readonly #policies = new Map<string, ServicePolicy>();
  #judged: TracedPacket[] = [];

  constructor(options: FakeDataPathOptions) {
    this.#options = options;
  }

  open(): Promise<void> {
    this.opened = true;
    return Promise.resolve();
  }

  attachDomain(domain: DomainEntry): Promise<DomainLink> {
    return this.#change(() => {
      const known = this.#domains.get(domain.slot);
      if (known !== undefined && isSame(known.entry, domain)) {
        known.entry = domain;
        return known.link;
      }
      if ([...this.#domains.values()].some(({ entry }) => isSame({ ...entry, slot: domain.slot }, domain)))
        throw new RouterError("E_BAD_REQUEST", `Version ${domain.version} is attached in another slot.`);
      const link = this.#link(domain);
      this.#domains.set(domain.slot, { entry: domain, link, ports: NO_PORTS, connections: 0 });
      return link;
    });
  }

  detachDomain(slot: number): Promise<void> {
    return this.#change(() => void this.#domains.delete(slot));
  }

  domains(): ReturnType<DataPath["domains"]> {
    return this.#read(() =>
      [...this.#domains.values()].map(({ entry, link, ports }) => ({ ...entry, domainLink: link, ports })),
    );
  }

  setPorts(slot: number, ports: PortSet): Promise<void> {
    return this.#change(() => {
      this.#domain(slot).ports = ports;
    });
  }

  setClientPath(service: string, path: ClientPath): Promise<void> {
    return this.#change(() => void this.#clientPaths.set(service, path));
  }

  clientPaths(): Promise<Readonly<Record<string, ClientPath>>> {
    return this.#read(() => Object.fromEntries(this.#clientPaths));
  }

  setPolicy(service: string, policy: ServicePolicy): Promise<void> {
    return this.#change(() => {
      if (policy.unmanagedPeers === "allow") this.#policies.set(service, policy);
      else this.#policies.delete(service);
    });
  }

  policies(): Promise<Readonly<Record<string, ServicePolicy>>> {
    return this.#read(() => Object.fromEntries(this.#policies));
  }

  /** For tests: so many client connections are open. */
  setConnections(slot: number, connections: number): void {
    this.#domain(slot).connections = connections;
  }

  directConnections(slot: number): Promise<number> {
    return this.#read(() => this.#domains.get(slot)?.connections ?? 0);
  }

  resetDirectConnections(slot: number): Promise<number> {
    return this.#change(() => {
      const domain = this.#domains.get(slot);
      const reset = domain?.connections ?? 0;
      if (domain !== undefined) domain.connections = 0;
      return reset;
    });
  }

  setAdvertisement(tag: number, advertisement: Advertisement | undefined): Promise<void> {
    return this.#change(() => void this.advertisements.set(tag, advertisement));
  }

  setManagedPeers(addresses: readonly string[]): Promise<void> {
    return this.#change(() => {
      this.managedPeers = addresses;
    });
  }

  heard(): Promise<readonly HeardMark[]> {
    return this.#read(() => [...this.marks]);
  }

  counters(): Promise<readonly Counter[]> {
    return this.#read(() => [...this.verdicts]);
  }

  peerCounters(): Promise<readonly PeerCounter[]> {
    return this.#read(() => [...this.peerVerdicts]);
  }

  flows(filter: FlowFilter): Promise<FlowList> {
    return this.#read(() => selectFlows(this.openFlows, filter));
  }

  /** For tests: this packet was judged. */
  judge(packet: TracedPacket): void {
    if (this.tracing !== undefined && isAskedFor(packet, this.tracing)) this.#judged.push(packet);
  }

  trace(filter: TraceFilter | undefined): Promise<TraceBatch> {
    return this.#read(() => {
      const packets = this.#judged;
      this.#judged = [];
      this.tracing = filter;
      return { packets: filter === undefined ? [] : packets, missed: 0, unseen: [] };
    });
  }

  close(): Promise<void> {
    this.opened = false;
    this.tracing = undefined;
    return Promise.resolve();
  }

  destroy(): Promise<void> {
    this.#domains.clear();
    this.#clientPaths.clear();
    this.#policies.clear();
    this.advertisements.clear();
    this.managedPeers = [];
    this.destroyed = true;
    return this.close();
  }

  #change<T>(act: () => T): Promise<T> {
    const failure = this.failNext;
    this.failNext = undefined;
    if (failure !== undefined) return Promise.reject(failure);
    return this.#read(act);
  }

  #read<T>(act: () => T): Promise<T> {
    return new Promise((resolve, reject) => {
      if (this.opened) resolve(act());
      else reject(new RouterError("E_NO_DATA_PATH", "The data path is not open; call open()."));
    });
  }

  #domain(slot: number): FakeDomain {
    const domain = this.#domains.get(slot);
    if (domain === undefined) throw new RouterError("E_NO_DOMAIN", `No domain is attached at slot ${slot}.`);
    return domain;
  }

  #link({ slot, link }: DomainEntry): DomainLink {
    const address = this.#options.managementAddress?.(slot) ?? `169.254.128.${slot + 1}`;
    return {
      interfaceName: `fake${slot}`,
      ...(link === "veth" ? { guestInterfaceName: `fakeg${slot}` } : {}),
      mac: `52:54:00:00:00:${slot.toString(16).padStart(2, "0")}`,
      address: this.#options.serviceAddress,
      gateway: "169.254.1.1",
      managementAddress: address,
      mtu: 1484,
      ephemeralPorts: [16_384 + slot * 768, 16_384 + slot * 768 + 767],
    };
  }
}

function isSame(a: DomainEntry, b: DomainEntry): boolean {
  return a.slot === b.slot && a.service === b.service && a.version === b.version && a.link === b.link;
}
