/**
 * What the router's daemon needs of a data path. `kernel/` is eBPF on tc; `relay/` is sockets of the daemon's process.
 * Every implementation passes the one compliance suite in `../test/datapath`.
 *
 * A data path keeps its state outside the daemon (pinned maps, links, a file), and `open` finds it again. With `kernel`
 * packets flow while the daemon is down; with `relay` flows end with it, and marked traffic is dropped until it is back.
 */
import type {
  Advertisement,
  ClientPath,
  Counter,
  DomainLink,
  FlowFilter,
  FlowList,
  LinkKind,
  LinkLimits,
  PeerCounter,
  PortSet,
  ServicePolicy,
  TraceFilter,
  TracedPacket,
} from "../control/contract.ts";

/** Who a domain is on this node. `slot` is 0…63, chosen by the daemon, and decides its management address. */
export interface DomainEntry extends LinkLimits {
  readonly slot: number;
  readonly service: string;
  /** 16-bit tag of the service name, see `../mark`. */
  readonly tag: number;
  readonly version: number;
  readonly link: LinkKind;
}

/** Above it a nanosecond would be too long for the bytes of a small packet. */
export const NETWORK_MBIT_PER_S_MAX = 100_000;

/** Without the key where there is no bound. */
export function limitsOf(networkMbitPerS: number | undefined): LinkLimits {
  return networkMbitPerS === undefined ? {} : { networkMbitPerS };
}

/** A mark that the data path saw and that may teach something. Bounded; the oldest are forgotten first. */
export interface HeardMark {
  readonly peerAddress: string;
  readonly tag: number;
  readonly senderVersion: number;
  readonly advertisement: Advertisement;
  readonly lastHeardMs: number;
}

export interface DataPathConfig {
  /** Interface towards the other nodes. */
  readonly uplink: string;
  /** The node's service address, an IPv4 address that the uplink bears. */
  readonly serviceAddress: string;
  /** An IPv6 address that the uplink bears and every domain is to bear, too; only the kernel's data path has it. */
  readonly serviceAddress6?: string | undefined;
  /** Directory of a bpffs for pins. */
  readonly pinDirectory: string;
}

/** So long a data path goes on tracing when nobody asks any more, milliseconds: a daemon may be killed. */
export const TRACE_LEASE_MS = 3_000;

/** What was traced since it was last asked for. */
export interface TraceBatch {
  readonly packets: readonly TracedPacket[];
  /** Were asked for, too, but found no room. */
  readonly missed: number;
  /** Verdicts whose packets this data path never shows. */
  readonly unseen: readonly string[];
}

export interface DataPath {
  readonly kind: "kernel" | "relay";
  /** Loads and attaches, or finds what an earlier daemon left. Throws E_NOT_ROOT, E_NO_DATA_PATH, E_KERNEL. */
  open(): Promise<void>;
  /** Idempotent. Makes the interface, its route and its programs; nothing is left when it throws. Changes the limit. */
  attachDomain(domain: DomainEntry): Promise<DomainLink>;
  detachDomain(slot: number): Promise<void>;
  /** Domains that survived a restart of the daemon, with their registered ports. */
  domains(): Promise<readonly (DomainEntry & { readonly domainLink: DomainLink; readonly ports: PortSet })[]>;
  setPorts(slot: number, ports: PortSet): Promise<void>;
  setClientPath(service: string, path: ClientPath): Promise<void>;
  clientPaths(): Promise<Readonly<Record<string, ClientPath>>>;
  /** Absent where unmanaged peers are always denied. */
  setPolicy?(service: string, policy: ServicePolicy): Promise<void>;
  /** Those that are not the default. */
  policies?(): Promise<Readonly<Record<string, ServicePolicy>>>;
  /** Client connections carried straight to the domain in this slot. */
  directConnections(slot: number): Promise<number>;
  resetDirectConnections(slot: number): Promise<number>;
  /** The advertisement that marks of this service carry from now on; undefined: the sender's own, as running. */
  setAdvertisement(tag: number, advertisement: Advertisement | undefined): Promise<void>;
  setManagedPeers(addresses: readonly string[]): Promise<void>;
  /** Everything heard that has not been forgotten; cheap enough to ask four times a second. */
  heard(): Promise<readonly HeardMark[]>;
  counters(): Promise<readonly Counter[]>;
  /** Of managed peers; at most 8,192, the least recently used are forgotten first. */
  peerCounters(): Promise<readonly PeerCounter[]>;
  /** Live entries that the filter asks for. */
  flows(filter: FlowFilter): Promise<FlowList>;
  /**
   * Takes what was traced, and traces on with this filter for TRACE_LEASE_MS; to be called several times a second.
   * The first call gives nothing. `undefined` switches the tracing off.
   */
  trace(filter: TraceFilter | undefined): Promise<TraceBatch>;
  /** Lets go. With `kernel` packets keep flowing. */
  close(): Promise<void>;
  /** Removes every program, map, pin, link, route and rule that it made. */
  destroy(): Promise<void>;
}
