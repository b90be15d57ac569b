/**
 * What one client's datagrams lead to: the same handlers as for a TCP connection, called once per datagram. Pure: events
 * and the clock in, actions out.
 *
 * A flow has a socket of its own towards each version, so the source port says whose reply a datagram is. Nothing is
 * sent again here, and nothing invented: a datagram that is lost is the client's to repeat.
 */
import { PeekBuffer } from "../buffer/peek-buffer.ts";
import type { Connection, ServerEnd } from "../connection/contract.ts";
import { Timers } from "../connection/timers.ts";
import { ProxyError } from "../errors.ts";
import type { VersionSet } from "../versions/version-set.ts";
import type { FlowEvent, FlowOptions } from "./contract.ts";
import { Sender } from "./sender.ts";

interface Link {
  readonly id: number;
  readonly version: number;
  readonly replies: Sender;
}

export class Flow implements Connection {
  readonly id: number;
  readonly clientAddress: string;
  readonly #options: FlowOptions;
  readonly #requests: Sender;
  readonly #links = new Map<number, Link>();
  readonly #awaited = new Map<number, Sender>();
  readonly #timers = new Timers();
  readonly #ends = new Set<() => void>();
  #inFlight = 0;
  #heldBytes = 0;
  #activeAtMs: number;
  #wakeAtMs = Infinity;
  #nextId = 1;
  #draining = false;
  #over = false;

  constructor(options: FlowOptions) {
    const { clientAddress, handlers, id, versions } = options;
    this.#options = options;
    this.id = id;
    this.clientAddress = clientAddress;
    this.#activeAtMs = options.now();
    const clientVersion = versions.min ?? 0;
    this.#requests = this.#newSender((buffer) => handlers.handleRequest(clientVersion, buffer, this));
  }

  get draining(): boolean {
    return this.#draining;
  }

  /** Requests that handlers say are in flight. */
  get inFlight(): number {
    return this.#inFlight;
  }

  get linkCount(): number {
    return this.#links.size;
  }

  get bufferedBytes(): number {
    return this.#heldBytes + this.#requests.waitingBytes;
  }

  versions(): VersionSet {
    return this.#options.versions;
  }

  now(): number {
    return this.#options.now();
  }

  handle(event: FlowEvent): void {
    if (this.#over) return;
    this.#take(event);
    this.#settle();
  }

  /** One datagram. Returns 0: the position in a stream, which datagrams do not have. */
  enqueue(version: number, data: PeekBuffer | Uint8Array): number {
    if (this.#over) throw new ProxyError("E_CONNECTION_OVER", "The client's flow is over; stop sending.");
    if (!this.versions().has(version)) {
      throw new ProxyError(
        "E_NO_SUCH_VERSION",
        `Version ${version} does not run; ask connection.versions() first.`,
      );
    }
    const link = this.#links.get(version) ?? this.#open(version);
    this.#options.emit({ kind: "server-send", link: link.id, bytes: datagramOf(data) });
    return 0;
  }

  enqueueClient(data: PeekBuffer | Uint8Array): void {
    const bytes = datagramOf(data);
    if (!this.#over) this.#options.emit({ kind: "client-send", bytes });
  }

  /** Forgets the client; its next datagram begins a new flow. */
  endClient(): void {
    this.#finish("ended");
  }

  /** There is no half of a flow to end. */
  endServer(version: number): void {
    this.dropServer(version);
  }

  /** The next datagram to the version has another source port: no late reply can be taken for the next request's. */
  dropServer(version: number): void {
    const link = this.#links.get(version);
    if (link === undefined) return;
    this.#links.delete(version);
    this.#options.emit({ kind: "server-close", link: link.id });
  }

  requestStarted(bytes = 0, { background = false }: { readonly background?: boolean } = {}): () => void {
    const tracked = background ? undefined : this.#options.trackRequest?.();
    this.#hold(bytes);
    if (!background) this.#inFlight += 1;
    const end = (): void => {
      if (!this.#ends.delete(end)) return;
      this.#hold(-bytes);
      if (!background) this.#inFlight -= 1;
      this.#activeAtMs = this.now();
      tracked?.();
    };
    this.#ends.add(end);
    return end;
  }

  after(delayMs: number, callback: () => void): () => void {
    const cancel = this.#timers.add(this.now() + delayMs, callback);
    this.#wake();
    return cancel;
  }

  #take(event: FlowEvent): void {
    const { handlers } = this.#options;
    switch (event.kind) {
      case "client-datagram":
        this.#activeAtMs = this.now();
        return this.#requests.add(event.bytes);
      case "server-datagram":
        this.#activeAtMs = this.now();
        return this.#linkOf(event.link)?.replies.add(event.bytes);
      case "server-lost": {
        const link = this.#linkOf(event.link);
        if (link !== undefined) this.#lose(link, event.refused ? "refused" : "failed", event.detail);
        return;
      }
      case "handled": {
        const sender = this.#awaited.get(event.token);
        this.#awaited.delete(event.token);
        return sender?.settle();
      }
      case "versions-changed":
        for (const link of Array.from(this.#links.values())) {
          if (!this.versions().has(link.version)) this.#lose(link, "retired", "the version does not run");
        }
        return handlers.versionsChanged?.(this);
      case "drain":
        this.#draining = true;
        return handlers.draining?.(this);
      case "forget":
        return this.#finish(event.why);
      case "tick":
        this.#wakeAtMs = Infinity;
        return this.#timers.run(this.now());
    }
  }

  #hold(bytes: number): void {
    this.#heldBytes += bytes;
    this.#options.hold?.(bytes);
  }

  #settle(): void {
    if (this.#over) return;
    if (this.#inFlight === 0 && this.now() >= this.#idleAtMs()) return this.#finish("idle");
    this.#wake();
  }

  #idleAtMs(): number {
    return this.#inFlight > 0 ? Infinity : this.#activeAtMs + this.#options.limits.idleTimeoutMs;
  }

  /** An alarm that is too early costs a look; so it is only ever moved forward. */
  #wake(): void {
    const atMs = Math.min(this.#timers.earliestMs, this.#idleAtMs());
    if (this.#over || atMs >= this.#wakeAtMs) return;
    this.#wakeAtMs = atMs;
    this.#options.emit({ kind: "wake-at", atMs });
  }

  #open(version: number): Link {
    const { handlers } = this.#options;
    const replies = this.#newSender((buffer) => handlers.handleReply(version, buffer, this));
    const link = { id: this.#nextId++, version, replies };
    this.#links.set(version, link);
    this.#options.emit({ kind: "open", link: link.id, version });
    return link;
  }

  #linkOf(id: number): Link | undefined {
    for (const link of this.#links.values()) if (link.id === id) return link;
    return undefined;
  }

  #lose(link: Link, reason: ServerEnd["reason"], detail: string): void {
    const { version } = link;
    this.dropServer(version);
    // Every datagram sent may have arrived, all the same.
    const end = { version, reason, sentBytes: Infinity, detail };
    this.#options.handlers.serverEnded?.(end, new PeekBuffer(), this);
  }

  #newSender(offer: ConstructorParameters<typeof Sender>[0]["offer"]): Sender {
    const { counts, limits } = this.#options;
    const sender: Sender = new Sender({
      waitingMax: limits.waitingMax,
      counts,
      offer,
      wait: (promise) => {
        const token = this.#nextId++;
        this.#awaited.set(token, sender);
        this.#options.emit({ kind: "await", token, promise });
      },
    });
    return sender;
  }

  #finish(why: string): void {
    if (this.#over) return;
    this.#over = true;
    const { handlers } = this.#options;
    for (const version of Array.from(this.#links.keys())) this.dropServer(version);
    try {
      handlers.closed?.(this);
    } finally {
      for (const end of Array.from(this.#ends)) end();
      this.#timers.clear();
      this.#options.emit({ kind: "closed", why });
    }
  }
}

function datagramOf(data: PeekBuffer | Uint8Array): Buffer {
  if (!(data instanceof PeekBuffer)) return Buffer.from(data.buffer, data.byteOffset, data.byteLength);
  const chunks = data.give();
  return chunks.length === 1 ? (chunks[0] as Buffer) : Buffer.concat(chunks);
}
