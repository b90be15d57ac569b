/** A client of the harness: what it sent and got, and the core that serves it with its connections to fake versions. */
import type { ConnectionAction, ConnectionLimits } from "../connection/contract.ts";
import { ConnectionCore } from "../connection/core.ts";
import type { VersionSet } from "../versions/version-set.ts";
import type { FakeServer, HarnessOptions, ServerSide } from "./contract.ts";
import { Stream } from "./stream.ts";

export interface HarnessClientOptions extends Pick<HarnessOptions, "handlers" | "serve"> {
  readonly id: number;
  readonly versionSet: VersionSet;
  readonly limits: ConnectionLimits;
  now(): number;
}

interface Link {
  readonly toServer: Stream;
  readonly toProxy: Stream;
  server: FakeServer | undefined;
}

export class HarnessClient {
  readonly core: ConnectionCore;
  readonly #options: HarnessClientOptions;
  readonly #links = new Map<number, Link>();
  readonly #toProxy: Stream;
  readonly #toClient: Stream;
  readonly #received: Buffer[] = [];
  #wakeAtMs = Infinity;
  #inFlight = 0;
  /** The proxy ended its side of the stream. */
  ended = false;
  /** Why the connection is over; undefined while it is not. */
  closed: string | undefined;

  constructor(options: HarnessClientOptions) {
    this.#options = options;
    this.#toProxy = new Stream((bytes) => this.core.handle({ kind: "client-data", bytes }));
    this.#toClient = new Stream(
      (bytes) => this.#received.push(bytes),
      (bytes) => this.core.handle({ kind: "client-written", bytes }),
    );
    this.core = new ConnectionCore({
      id: options.id,
      clientAddress: `client:${options.id}`,
      handlers: options.handlers,
      versions: options.versionSet,
      limits: options.limits,
      now: () => options.now(),
      emit: (action) => this.#perform(action),
      trackRequest: () => {
        this.#inFlight += 1;
        return () => (this.#inFlight -= 1);
      },
    });
  }

  get requestsInFlight(): number {
    return this.#inFlight;
  }

  /** Everything that arrived. */
  get received(): Buffer {
    return Buffer.concat(this.#received);
  }

  /** Whether the proxy reads from this client now. */
  get isRead(): boolean {
    return !this.#toProxy.paused;
  }

  get wakeAtMs(): number {
    return this.closed === undefined ? this.#wakeAtMs : Infinity;
  }

  send(bytes: Uint8Array | string): void {
    this.#toProxy.bytes(typeof bytes === "string" ? Buffer.from(bytes, "latin1") : bytes);
  }

  end(): void {
    this.#toProxy.signal(() => this.core.handle({ kind: "client-end" }));
  }

  /** The connection breaks now; what was under way is lost. */
  reset(): void {
    this.#toProxy.clear();
    this.#toClient.clear();
    this.core.handle({ kind: "client-lost" });
  }

  /** Stops or goes on taking what the proxy sends. */
  take(on: boolean): void {
    this.#toClient.paused = !on;
  }

  streams(): Stream[] {
    return [
      this.#toProxy,
      this.#toClient,
      ...this.#links.values().flatMap((link) => [link.toServer, link.toProxy]),
    ];
  }

  /** The ready ones of `streams()`, in that order; asked before every delivery. */
  addReady(ready: Stream[]): void {
    if (this.#toProxy.ready) ready.push(this.#toProxy);
    if (this.#toClient.ready) ready.push(this.#toClient);
    for (const { toServer, toProxy } of this.#links.values()) {
      if (toServer.ready) ready.push(toServer);
      if (toProxy.ready) ready.push(toProxy);
    }
  }

  tick(nowMs: number): void {
    if (this.wakeAtMs > nowMs) return;
    this.#wakeAtMs = Infinity;
    this.core.handle({ kind: "tick" });
  }

  #perform(action: ConnectionAction): void {
    switch (action.kind) {
      case "client-write":
        return action.chunks.forEach((chunk) => this.#toClient.bytes(chunk));
      case "client-end":
        return this.#toClient.signal(() => (this.ended = true));
      case "client-read":
        this.#toProxy.paused = !action.on;
        return;
      case "open":
        return this.#open(action.link, action.version);
      case "server-write":
        return action.chunks.forEach((chunk) => this.#links.get(action.link)?.toServer.bytes(chunk));
      case "server-end":
        return this.#links.get(action.link)?.toServer.signal(() => this.#serverGotEnd(action.link));
      case "server-read":
        return this.#pause(action.link, !action.on);
      case "server-close":
        return void this.#links.delete(action.link);
      case "await":
        return void action.promise.then(
          (result) => this.core.handle({ kind: "handled", token: action.token, result }),
          (error: unknown) => this.core.handle({ kind: "handled", token: action.token, result: { error } }),
        );
      case "wake-at":
        this.#wakeAtMs = action.atMs;
        return;
      case "closed":
        this.closed = action.reason;
        this.#links.clear();
        return;
    }
  }

  #open(id: number, version: number): void {
    const link: Link = {
      toServer: new Stream(
        (bytes) => link.server?.data(bytes),
        (bytes) => this.core.handle({ kind: "server-written", link: id, bytes }),
      ),
      toProxy: new Stream((bytes) => this.core.handle({ kind: "server-data", link: id, bytes })),
      server: undefined,
    };
    this.#links.set(id, link);
    link.toProxy.signal(() => {
      const server = this.#options.serve(this.#sideOf(id, version, link));
      if (server === "refuse") return this.#lose(id, "refused");
      link.server = server;
      this.core.handle({ kind: "server-connected", link: id });
    });
  }

  #sideOf(id: number, version: number, link: Link): ServerSide {
    return {
      version,
      send: (bytes) => link.toProxy.bytes(bytes),
      end: () => link.toProxy.signal(() => this.core.handle({ kind: "server-end", link: id })),
      reset: () => this.#lose(id, "reset"),
    };
  }

  #serverGotEnd(id: number): void {
    const link = this.#links.get(id);
    if (link?.server?.end !== undefined) link.server.end();
    else link?.toProxy.signal(() => this.core.handle({ kind: "server-end", link: id }));
  }

  #pause(id: number, paused: boolean): void {
    const link = this.#links.get(id);
    if (link !== undefined) link.toProxy.paused = paused;
  }

  #lose(id: number, detail: string): void {
    if (this.#links.delete(id)) this.core.handle({ kind: "server-lost", link: id, detail });
  }
}
