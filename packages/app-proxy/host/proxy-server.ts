/** Accepts clients, gives each a connection, and keeps the set of versions. Useful without the rest of `host/`. */
import net from "node:net";
import { DEFAULT_LIMITS, type ConnectionLimits, type ProxyHandlers } from "../connection/contract.ts";
import { TcpConnection, type Endpoint } from "../connection/tcp.ts";
import { DEFAULT_FLOW_LIMITS, type DatagramCounts, type FlowLimits } from "../datagram/contract.ts";
import { UdpPort } from "../datagram/udp-port.ts";
import { ProxyError } from "../errors.ts";
import { VersionSet } from "../versions/version-set.ts";
import { parseEndpoint, type ListenPort, type VersionEndpoints } from "./launch.ts";
import { RequestEpochs } from "./request-epochs.ts";

export interface ProxyServerOptions {
  readonly handlers: ProxyHandlers;
  readonly limits?: Partial<ConnectionLimits>;
  /** Of each UDP port. */
  readonly flowLimits?: Partial<FlowLimits>;
  /** Default 10,000. Beyond it a new client's connection is closed at once, and counted. */
  readonly connectionsMax?: number;
  /**
   * Bytes that all connections together may keep in memory; default 256 MiB. Beyond it those that keep most are closed,
   * and counted. Writes that have been sent go on to their end.
   */
  readonly bufferedBytesMax?: number;
}

export interface ProxyServerStatus {
  readonly listening: readonly ListenPort[];
  readonly draining: boolean;
  readonly connections: number;
  readonly serverConnections: number;
  readonly requestsInFlight: number;
  readonly requestsTotal: number;
  readonly connectionsTotal: number;
  readonly connectionsRefused: number;
  /** Closed because the process kept too much in memory. */
  readonly connectionsShed: number;
  readonly bufferedBytes: number;
  /** Clients of UDP ports. */
  readonly flows: number;
  readonly datagrams: Readonly<DatagramCounts>;
  readonly versions: readonly VersionEndpoints[];
}

/** Milliseconds that a draining server still accepts: what had connected before is served, not reset. */
const ACCEPT_GRACE_MS = 100;

/** Connections that wait to be accepted, at most; the kernel's own limit (somaxconn) counts when it is lower. */
const LISTEN_BACKLOG = 16_384;

const BUFFERED_BYTES_MAX = 256 * 1024 * 1024;
const MEMORY_WATCH_MS = 250;

export class ProxyServer {
  readonly #options: ProxyServerOptions;
  readonly #limits: ConnectionLimits;
  readonly #versions = new VersionSet();
  readonly #epochs = new RequestEpochs();
  readonly #connections = new Set<TcpConnection>();
  readonly #servers = new Map<ListenPort, net.Server>();
  readonly #udpPorts = new Map<ListenPort, UdpPort>();
  #settled: Promise<void> = Promise.resolve();
  #endpoints: readonly VersionEndpoints[] = [];
  #connectionsTotal = 0;
  #connectionsRefused = 0;
  #connectionsShed = 0;
  readonly #memoryWatch: NodeJS.Timeout;
  #draining: Promise<{ readonly remaining: number }> | undefined;
  #whenEmpty: (() => void) | undefined;

  constructor(options: ProxyServerOptions) {
    this.#options = options;
    this.#limits = { ...DEFAULT_LIMITS, ...options.limits };
    this.#memoryWatch = setInterval(() => this.#shed(), MEMORY_WATCH_MS);
    this.#memoryWatch.unref();
  }

  /**
   * `at`: a descriptor that listens already, or an address to bind (port 0: any). Returns the address bound. Throws
   * E_MODULE when the handlers cannot serve such a port.
   */
  async listen(port: ListenPort, at: { readonly fd: number } | Endpoint): Promise<net.AddressInfo> {
    const handlers = this.#handlersOf(port);
    if (port.startsWith("udp/")) return this.#listenUdp(port, handlers, at);
    const server = net.createServer({ allowHalfOpen: true }, (socket) =>
      this.#accept(port, handlers, socket),
    );
    await new Promise<void>((resolve, reject) => {
      server.once("error", reject);
      server.listen({ ...at, backlog: LISTEN_BACKLOG }, resolve);
    });
    server.on("error", () => undefined);
    this.#servers.set(port, server);
    return server.address() as net.AddressInfo;
  }

  /**
   * Replaces the versions and where they are. Connections that are open to a version stay where they are when only its
   * endpoint changes. Resolves when every request begun under an earlier set is over, also when this call changes
   * nothing and an earlier one has not settled yet.
   */
  setVersions(versions: readonly VersionEndpoints[]): Promise<void> {
    this.#endpoints = versions;
    const { added, removed } = this.#versions.replace(versions.map(({ version }) => version));
    if (added.length === 0 && removed.length === 0) return this.#settled;
    this.#settled = this.#epochs.turn();
    for (const connection of this.#connections) connection.core.handle({ kind: "versions-changed" });
    for (const udp of this.#udpPorts.values()) udp.versionsChanged();
    return this.#settled;
  }

  status(): ProxyServerStatus {
    let serverConnections = this.#sumUdp(({ links }) => links);
    for (const { core } of this.#connections) serverConnections += core.linkCount;
    return {
      listening: [...this.#servers.keys(), ...this.#udpPorts.keys()],
      draining: this.#draining !== undefined,
      connections: this.#connections.size,
      serverConnections,
      requestsInFlight: this.#epochs.inFlight,
      requestsTotal: this.#epochs.total,
      connectionsTotal: this.#connectionsTotal,
      connectionsRefused: this.#connectionsRefused,
      connectionsShed: this.#connectionsShed,
      bufferedBytes: this.#bufferedBytes() + this.#sumUdp(({ bufferedBytes }) => bufferedBytes),
      flows: this.#sumUdp(({ flows }) => flows),
      datagrams: {
        overflowed: this.#sumUdp(({ counts }) => counts.overflowed),
        failed: this.#sumUdp(({ counts }) => counts.failed),
        evicted: this.#sumUdp(({ counts }) => counts.evicted),
      },
      versions: this.#endpoints,
    };
  }

  /**
   * Stops accepting and ends every connection at its next message boundary. Resolves when none is left, or after
   * `deadlineMs` milliseconds with the number of those that are. UDP ports serve on until their clients are silent, or,
   * when another process was handed them (`handedOver`), until a moment without requests in flight.
   */
  drain(deadlineMs: number, handedOver = false): Promise<{ readonly remaining: number }> {
    this.#draining ??= this.#drain(handedOver);
    const remaining = (): { remaining: number } => ({
      remaining: this.#connections.size + this.#sumUdp(({ inFlight }) => inFlight),
    });
    let timer: NodeJS.Timeout | undefined;
    const deadline = new Promise<{ remaining: number }>((resolve) => {
      timer = setTimeout(() => resolve(remaining()), deadlineMs);
    });
    return Promise.race([this.#draining, deadline]).finally(() => clearTimeout(timer));
  }

  /** Ends everything at once. */
  close(): void {
    clearInterval(this.#memoryWatch);
    for (const server of this.#servers.values()) server.close();
    this.#servers.clear();
    for (const udp of this.#udpPorts.values()) udp.close();
    this.#udpPorts.clear();
    for (const connection of this.#connections) connection.destroy();
  }

  /** A service may have handlers of their own for its UDP ports. */
  #handlersOf(port: ListenPort): ProxyHandlers {
    const { handlers } = this.#options;
    const isUdp = port.startsWith("udp/");
    const found = isUdp ? (handlers.datagrams ?? handlers) : handlers;
    if (found.transport === undefined || found.transport === (isUdp ? "datagram" : "stream")) return found;
    const what = isUdp
      ? "give its handlers as `datagrams`, made with datagramFraming"
      : "its framing takes datagrams only";
    throw new ProxyError("E_MODULE", `The proxy module cannot serve ${port}: ${what}; see docs/PROXY.md.`);
  }

  async #listenUdp(
    port: ListenPort,
    handlers: ProxyHandlers,
    at: { readonly fd: number } | Endpoint,
  ): Promise<net.AddressInfo> {
    const udp = new UdpPort({
      handlers,
      versions: this.#versions,
      limits: { ...DEFAULT_FLOW_LIMITS, ...this.#options.flowLimits },
      endpointOf: (version) => this.#endpointOf(version, port),
      trackRequest: () => this.#epochs.start(),
    });
    const bound = await udp.listen(at);
    this.#udpPorts.set(port, udp);
    return bound;
  }

  #sumUdp(of: (udp: UdpPort) => number): number {
    let sum = 0;
    for (const udp of this.#udpPorts.values()) sum += of(udp);
    return sum;
  }

  #accept(port: ListenPort, handlers: ProxyHandlers, socket: net.Socket): void {
    this.#connectionsTotal += 1;
    if (this.#connections.size >= (this.#options.connectionsMax ?? 10_000)) {
      this.#connectionsRefused += 1;
      return void socket.destroy();
    }
    const connection = new TcpConnection({
      id: this.#connectionsTotal,
      socket,
      handlers,
      versions: this.#versions,
      limits: this.#limits,
      endpointOf: (version) => this.#endpointOf(version, port),
      trackRequest: () => this.#epochs.start(),
      onClosed: () => {
        this.#connections.delete(connection);
        if (this.#connections.size === 0) this.#whenEmpty?.();
      },
    });
    this.#connections.add(connection);
    if (this.#draining !== undefined) connection.core.handle({ kind: "drain" });
  }

  #bufferedBytes(): number {
    let bytes = 0;
    for (const { core } of this.#connections) bytes += core.bufferedBytes;
    return bytes;
  }

  #shed(): void {
    const bytesMax = this.#options.bufferedBytesMax ?? BUFFERED_BYTES_MAX;
    let bytes = this.#bufferedBytes();
    if (bytes <= bytesMax) return;
    const sized = [...this.#connections].map((connection) => ({
      connection,
      bytes: connection.core.bufferedBytes,
    }));
    for (const most of sized.toSorted((left, right) => right.bytes - left.bytes)) {
      if (bytes <= bytesMax) return;
      bytes -= most.bytes;
      this.#connectionsShed += 1;
      most.connection.destroy();
    }
  }

  #endpointOf(version: number, port: ListenPort): Endpoint | undefined {
    const found = this.#endpoints.find((candidate) => candidate.version === version);
    return parseEndpoint(found?.endpoints[port]);
  }

  async #drain(handedOver: boolean): Promise<{ readonly remaining: number }> {
    const silent = [...this.#udpPorts.values()].map((udp) => udp.drain(handedOver));
    for (const connection of this.#connections) connection.core.handle({ kind: "drain" });
    await new Promise((resolve) => setTimeout(resolve, ACCEPT_GRACE_MS));
    for (const server of this.#servers.values()) server.close();
    this.#servers.clear();
    if (this.#connections.size > 0) await new Promise<void>((resolve) => (this.#whenEmpty = resolve));
    await Promise.all(silent);
    this.#udpPorts.clear();
    return { remaining: 0 };
  }
}
