/** The shell of the flows of one UDP port over `node:dgram`: sockets, timers, and which flow a datagram belongs to. */
import dgram from "node:dgram";
import { isIPv6, type AddressInfo } from "node:net";
import type { ProxyHandlers } from "../connection/contract.ts";
import type { Endpoint } from "../connection/tcp.ts";
import type { VersionSet } from "../versions/version-set.ts";
import type { DatagramCounts, FlowAction, FlowLimits } from "./contract.ts";
import { Flow } from "./flow.ts";
import { ServerSocket } from "./server-socket.ts";

export interface UdpPortOptions {
  readonly handlers: ProxyHandlers;
  readonly versions: VersionSet;
  readonly limits: FlowLimits;
  endpointOf(version: number): Endpoint | undefined;
  trackRequest(): () => void;
}

interface Served {
  readonly flow: Flow;
  readonly key: string;
  readonly client: dgram.RemoteInfo;
  readonly servers: Map<number, ServerSocket>;
  timer: NodeJS.Timeout | undefined;
}

/** Asked of the kernel for the clients' socket, bytes; it grants up to net.core.rmem_max. Bursts wait here. */
const RECEIVE_BUFFER_BYTES = 4 * 1024 * 1024;
const DRAIN_LOOK_MS = 20;

export class UdpPort {
  readonly counts: DatagramCounts = { overflowed: 0, failed: 0, evicted: 0 };
  readonly #options: UdpPortOptions;
  /** Quiet for longest first. */
  readonly #flows = new Map<string, Served>();
  #socket: dgram.Socket | undefined;
  #flowsTotal = 0;
  #bytes = 0;
  #heardAtMs = 0;
  #draining = false;

  constructor(options: UdpPortOptions) {
    this.#options = options;
  }

  get flows(): number {
    return this.#flows.size;
  }

  get links(): number {
    return this.#sum(({ flow }) => flow.linkCount);
  }

  get bufferedBytes(): number {
    return this.#sum(({ flow }) => flow.bufferedBytes);
  }

  get inFlight(): number {
    return this.#sum(({ flow }) => flow.inFlight);
  }

  async listen(at: { readonly fd: number } | Endpoint): Promise<AddressInfo> {
    const socket = dgram.createSocket(!("fd" in at) && isIPv6(at.host) ? "udp6" : "udp4");
    socket.on("message", (bytes, client) => this.#receive(bytes, client));
    await new Promise<void>((resolve, reject) => {
      socket.once("error", reject);
      if ("fd" in at) socket.bind({ fd: at.fd }, resolve);
      else socket.bind({ address: at.host, port: at.port, exclusive: true }, resolve);
    });
    // A client that is gone is no fault of the port's.
    socket.removeAllListeners("error").on("error", () => undefined);
    socket.setRecvBufferSize(RECEIVE_BUFFER_BYTES);
    this.#socket = socket;
    return socket.address();
  }

  versionsChanged(): void {
    for (const { flow } of Array.from(this.#flows.values())) flow.handle({ kind: "versions-changed" });
  }

  /**
   * Serves on until nothing is in flight and no client has sent for a while, then closes the port. `handedOver`: another
   * process reads the same socket, so there is no need to wait for silence.
   */
  async drain(handedOver: boolean): Promise<void> {
    this.#draining = true;
    this.#heardAtMs = performance.now();
    for (const { flow } of Array.from(this.#flows.values())) flow.handle({ kind: "drain" });
    const quietMs = handedOver ? 0 : this.#options.limits.drainQuietMs;
    while (this.#socket !== undefined) {
      if (this.inFlight === 0 && performance.now() - this.#heardAtMs >= quietMs) return this.close();
      // What is heard for another process lasts microseconds; a moment without requests is looked for often.
      await new Promise<void>((resolve) =>
        handedOver ? setImmediate(resolve) : setTimeout(resolve, DRAIN_LOOK_MS),
      );
    }
  }

  close(): void {
    this.#socket?.close();
    this.#socket = undefined;
    for (const { flow } of Array.from(this.#flows.values()))
      flow.handle({ kind: "forget", why: "the port is closed" });
  }

  #receive(bytes: Buffer, client: dgram.RemoteInfo): void {
    this.#heardAtMs = performance.now();
    const key = `${client.address}:${client.port}`;
    const served = this.#flows.get(key) ?? this.#newFlow(key, client);
    // The one heard last goes to the end.
    this.#flows.delete(key);
    this.#flows.set(key, served);
    served.flow.handle({ kind: "client-datagram", bytes });
    this.#evict(served);
  }

  #newFlow(key: string, client: dgram.RemoteInfo): Served {
    const { handlers, limits, versions } = this.#options;
    this.#flowsTotal += 1;
    const flow: Flow = new Flow({
      id: this.#flowsTotal,
      clientAddress: key,
      handlers,
      versions,
      limits,
      counts: this.counts,
      now: () => performance.now(),
      emit: (action) => this.#perform(served, action),
      hold: (bytes) => (this.#bytes += bytes),
      trackRequest: () => this.#options.trackRequest(),
    });
    const served: Served = { flow, key, client, servers: new Map(), timer: undefined };
    if (this.#draining) flow.handle({ kind: "drain" });
    return served;
  }

  /** Forgets those quiet for longest, never the one just heard. */
  #evict(heard: Served): void {
    const { bytesMax, flowsMax } = this.#options.limits;
    for (const served of this.#flows.values()) {
      if ((this.#flows.size <= flowsMax && this.#bytes <= bytesMax) || served === heard) return;
      this.counts.evicted += 1;
      served.flow.handle({ kind: "forget", why: "too many flows" });
    }
  }

  #perform(served: Served, action: FlowAction): void {
    switch (action.kind) {
      case "client-send":
        return this.#socket?.send(action.bytes, served.client.port, served.client.address);
      case "open":
        return this.#open(served, action.link, action.version);
      case "server-send":
        return served.servers.get(action.link)?.send(action.bytes);
      case "server-close":
        served.servers.get(action.link)?.close();
        return void served.servers.delete(action.link);
      case "await":
        return void action.promise.then(() => served.flow.handle({ kind: "handled", token: action.token }));
      case "wake-at":
        clearTimeout(served.timer);
        served.timer = setTimeout(
          () => served.flow.handle({ kind: "tick" }),
          Math.max(0, Math.ceil(action.atMs - performance.now())),
        );
        return;
      case "closed":
        clearTimeout(served.timer);
        if (this.#flows.get(served.key) === served) this.#flows.delete(served.key);
    }
  }

  #open(served: Served, link: number, version: number): void {
    const lost = (refused: boolean, detail: string): void =>
      served.flow.handle({ kind: "server-lost", link, refused, detail });
    const endpoint = this.#options.endpointOf(version);
    if (endpoint === undefined) return queueMicrotask(() => lost(true, "no endpoint is known"));
    const server = new ServerSocket(endpoint, {
      message: (bytes) => served.flow.handle({ kind: "server-datagram", link, bytes }),
      lost: ({ code, message }) => lost(code === "ECONNREFUSED", message),
    });
    served.servers.set(link, server);
  }

  #sum(of: (served: Served) => number): number {
    let sum = 0;
    for (const served of this.#flows.values()) sum += of(served);
    return sum;
  }
}
