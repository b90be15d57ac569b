/**
 * What the router offers to the upgrade agent, over HTTP on a unix socket.
 *
 * The types live here; `client.ts` beside it speaks them, `../daemon` answers them.
 */

/** Status of an advertised version (4 bits on the wire, see docs/WIRE.md). */
export type AdvertisedStatus = "running" | "available" | "retired" | "aborted";

/** A version of a service. `version` is 1…2²⁸−1. */
export interface VersionKey {
  readonly service: string;
  readonly version: number;
}

export interface Advertisement {
  readonly version: number;
  readonly status: AdvertisedStatus;
}

/** How a hypervisor wants its end of the link: a tap for virtual machines, a veth pair for containers. */
export type LinkKind = "tap" | "veth";

/** The host end of a domain's network, made by the router with its programs attached. */
export interface DomainLink {
  /** Host interface: the tap itself, or the host's end of the veth pair. At most 15 characters. */
  readonly interfaceName: string;
  /** With `veth`: the end to move into the container. */
  readonly guestInterfaceName?: string;
  /** MAC address that the domain must use, `52:54:…`. */
  readonly mac: string;
  /** The node's service address, which the domain bears as a /32. */
  readonly address: string;
  /** On-link gateway of every domain: 169.254.1.1. */
  readonly gateway: string;
  /** Where the node has one: its IPv6 service address, which the domain bears as a /128. */
  readonly address6?: string;
  /** With `address6`: gateway on the link, fe80::1. */
  readonly gateway6?: string;
  /** Address at which only the host reaches this domain. */
  readonly managementAddress: string;
  /** MTU that the domain must set, so that marked datagrams fit the uplink, bytes. */
  readonly mtu: number;
  /** Ephemeral ports that the domain should use, inclusive, so that two versions never share a 5-tuple. */
  readonly ephemeralPorts: readonly [number, number];
}

/** Where new client connections of a service go. Established ones stay where they are. */
export type ClientPath =
  | { readonly kind: "direct"; readonly version: number }
  | { readonly kind: "proxy" }
  | { readonly kind: "closed" };

export interface ServicePolicy {
  /**
   * What passes between a peer port and an address that is not known to run Version Manager. `deny`, the default:
   * nothing. `allow`: unmarked traffic; what comes in goes where clients' does. Until both nodes know of each other,
   * two managed nodes that allow this speak unmarked as well, whatever their versions.
   */
  readonly unmanagedPeers: "allow" | "deny";
}

/** `tcp/7000`, `udp/4445`. */
export type PortSpec = `${"tcp" | "udp"}/${number}`;

export interface PortSet {
  readonly peer: readonly PortSpec[];
  readonly client: readonly PortSpec[];
}

/** What bounds a domain's network. */
export interface LinkLimits {
  /**
   * Mbit/s (10⁶ bits) that the domain sends at most, and as many that it receives, 1…100,000; absent: no bound. Frames
   * count as they are on the wire, whatever they hold and whoever they are for.
   */
  readonly networkMbitPerS?: number;
}

export interface AttachedDomain extends VersionKey, LinkLimits {
  readonly link: DomainLink;
  readonly ports: PortSet;
}

/** One verdict counter of the data path. */
export interface Counter {
  readonly service: string;
  readonly version: number;
  /** Stable name of the verdict, for example `delivered`, `marked`, `unknown_version`, `unmarked`, `spoofed`. */
  readonly verdict: string;
  readonly packets: number;
  readonly bytes: number;
}

/** A counter of what passed between a domain and one managed peer. */
export interface PeerCounter extends Counter {
  readonly peerAddress: string;
  /** When it was last counted up, milliseconds since 1970. */
  readonly lastSeenMs: number;
}

/** `opening`: nothing has followed the first packet; `refused` and `reset` say so to whoever goes on. */
export type FlowState = "opening" | "open" | "closed" | "refused" | "reset";

/** An entry of the table that keeps a connection, or a client's datagrams, with its version. */
export interface Flow {
  readonly service: string;
  readonly version: number;
  readonly protocol: "tcp" | "udp";
  readonly kind: "peer" | "client";
  readonly remoteAddress: string;
  readonly remotePort: number;
  /** Of the node's own address. */
  readonly localPort: number;
  readonly state: FlowState;
  /** Since the last packet, milliseconds, to about a second; with the relay's TCP since the last portion. */
  readonly idleMs: number;
}

/** What is left out asks for anything. */
export interface FlowFilter {
  readonly service?: string;
  readonly version?: number;
  readonly peer?: string;
  readonly protocol?: Flow["protocol"];
  /** At most so many, 1…10,000, default 1,000. */
  readonly limit?: number;
}

export interface FlowList {
  readonly flows: readonly Flow[];
  /** Others that the filter asks for, beyond the limit. */
  readonly notShown: number;
}

/** What is left out asks for anything. */
export interface TraceFilter {
  readonly service?: string;
  /** Version that was counted for, or that the mark names. */
  readonly version?: number;
  /** Address at either end. */
  readonly peer?: string;
  /** Port at either end. */
  readonly port?: number;
  readonly verdict?: string;
}

/** A packet and what became of it. The relay shows portions of a stream for its packets. */
export interface TracedPacket {
  readonly type: "packet";
  /** Milliseconds since 1970, with fractions. */
  readonly atMs: number;
  /** Where it was judged: a program of the kernel data path, or the relay. */
  readonly hook: "tap_ingress" | "tap_egress" | "uplink_ingress" | "relay";
  /** `out`: from a domain; `in`: to one. */
  readonly direction: "out" | "in";
  /** Absent where only the relay's sockets know. */
  readonly interface?: string;
  /** `tcp`, `udp`, `icmp`, or a number of IANA's registry; "" for what is no IP. */
  readonly protocol: string;
  readonly source: string;
  readonly sourcePort: number;
  readonly destination: string;
  readonly destinationPort: number;
  /** With TCP and the kernel data path, as tcpdump prints them: `S`, `S.`, `P.`. */
  readonly flags?: string;
  readonly bytes: number;
  /** Whom it was counted for; "" and 0 when it belongs to no domain. */
  readonly service: string;
  readonly version: number;
  /** The mark that it bore, or was given. */
  readonly mark?: TracedMark;
  readonly verdict: string;
  /** `passed` went on, `refused` did not. */
  readonly outcome: "passed" | "refused";
  /** Why, in a sentence. */
  readonly reason: string;
}

export interface TracedMark {
  /** "" when this node does not know the tag. */
  readonly service: string;
  readonly tag: number;
  readonly senderVersion: number;
  readonly advertisement?: Advertisement;
}

export type TraceLine =
  | TracedPacket
  /** So many packets that were asked for did not fit. */
  | { readonly type: "missed"; readonly packets: number }
  /** What this data path cannot show; once, at the beginning. */
  | { readonly type: "note"; readonly code: string; readonly message: string };

/** Something that an operator should mend. */
export interface RouterWarning {
  /** `W_OPTION_STRIPPED`: a path to a peer takes the mark out of TCP's options. */
  readonly code: "W_OPTION_STRIPPED";
  readonly peerAddress: string;
  readonly service: string;
  /** Connections refused for it, and when the last was, milliseconds since 1970. */
  readonly packets: number;
  readonly lastSeenMs: number;
  readonly message: string;
}

export interface RouterStatus {
  readonly dataPath: "kernel" | "relay";
  /** Why it is this one. */
  readonly dataPathReason?: string;
  readonly serviceAddress: string;
  readonly serviceAddress6?: string;
  readonly uplink: string;
  readonly pid: number;
  readonly startedAtMs: number;
  readonly domains: readonly AttachedDomain[];
  readonly clientPaths: Readonly<Record<string, ClientPath>>;
  /** Of the services whose policy is not the default. */
  readonly policies?: Readonly<Record<string, ServicePolicy>>;
  readonly counters: readonly Counter[];
  readonly warnings?: readonly RouterWarning[];
}

/** News for the agent. The router only hears; the agent verifies. */
export type RouterEvent =
  | {
      readonly type: "heard";
      readonly service: string;
      readonly peerAddress: string;
      /** What runs at the peer; in a direct mark of a peer where no version runs, one that it has. */
      readonly senderVersion: number;
      readonly advertisement: Advertisement;
      /** The sender runs a version that this node advertises as retired or aborted; it has been told so. */
      readonly senderObsolete?: true;
    }
  | ({ readonly type: "registered"; readonly ports: PortSet } & VersionKey);

/** Every call is idempotent: repeating one that succeeded changes nothing and succeeds. */
export interface RouterControl {
  status(): Promise<RouterStatus>;
  /** Attaching again with other limits changes those, without a gap in the traffic. */
  attachDomain(request: VersionKey & LinkLimits & { readonly kind: LinkKind }): Promise<DomainLink>;
  /** Removes the link, its programs, registrations and flows. */
  detachDomain(key: VersionKey): Promise<void>;
  /** Adds to what is registered already, from inside the domain or by an earlier call. E_PORT_TAKEN says by whom. */
  registerPorts(key: VersionKey, ports: PortSet): Promise<void>;
  /** Takes ports back; those that are not registered are fine. */
  unregisterPorts(key: VersionKey, ports: PortSet): Promise<void>;
  setClientPath(service: string, path: ClientPath): Promise<void>;
  /** Lasts until it is set again. E_BAD_REQUEST where the data path can only deny, and `allow` is asked for. */
  setPolicy(service: string, policy: ServicePolicy): Promise<void>;
  /** Client connections that the kernel still carries straight to this version. */
  directConnections(key: VersionKey): Promise<{ readonly open: number }>;
  /** Resets them; the last resort when draining does not end. Returns how many. */
  resetDirectConnections(key: VersionKey): Promise<{ readonly reset: number }>;
  /** What marks of this service may advertise; the router rotates among them. */
  setAdvertisements(service: string, advertisements: readonly Advertisement[]): Promise<void>;
  /** Service addresses of the nodes known to run Version Manager. */
  setManagedPeers(addresses: readonly string[]): Promise<void>;
  flows(filter: FlowFilter): Promise<FlowList>;
  /** At most 8,192 counters of the managed peers that were last heard or spoken to. */
  peerCounters(): Promise<readonly PeerCounter[]>;
  /**
   * Packets as they are judged, until aborted; then the data path stops looking, also when this end just dies. Throws
   * E_BAD_REQUEST, and E_NO_ROUTER also when the router goes away meanwhile.
   */
  trace(filter: TraceFilter, signal: AbortSignal): AsyncIterable<TraceLine>;
  /** Endless stream of news; starts with everything already heard, so that a restarted agent misses nothing. */
  events(signal: AbortSignal): AsyncIterable<RouterEvent>;
}
