/** Everything that is known of one client's connection, shared by the files that decide about it. Pure. */
import type { VersionSet } from "../versions/version-set.ts";
import type { Connection, ConnectionAction, ConnectionLimits, ProxyHandlers } from "./contract.ts";
import type { ClientSide } from "./deadlines.ts";
import { Inlet } from "./inlet.ts";
import { ServerLinks } from "./server-links.ts";
import { Timers } from "./timers.ts";

export interface CoreOptions {
  readonly id: number;
  readonly clientAddress: string;
  readonly handlers: ProxyHandlers;
  readonly versions: VersionSet;
  readonly limits: ConnectionLimits;
  /** Milliseconds, never going back. */
  now(): number;
  /** Gets each action in order; must not call the core back before it returns. True: a write is done already. */
  emit(action: ConnectionAction): boolean | void;
  /** Told of each request that starts; the returned function of its end. */
  trackRequest?(): () => void;
}

export class ConnectionState {
  readonly options: CoreOptions;
  readonly limits: ConnectionLimits;
  readonly handlers: ProxyHandlers;
  readonly links: ServerLinks;
  readonly timers = new Timers();
  /** What the client sent. */
  readonly inlet: Inlet;
  /** Whose handler's promise is pending, by the token of the `await` action. */
  readonly awaited = new Map<number, Inlet>();
  readonly client: ClientSide;
  /** Requests that the handlers say are in flight, as the functions that end them. */
  readonly requests = new Set<() => void>();
  /** Memory that those requests hold. */
  heldBytes = 0;
  draining = false;
  over = false;
  /** When something was last sent, received, begun or ended. */
  activeAtMs: number;
  #nextId = 1;

  /** `connection`: what the handlers are given. */
  constructor(options: CoreOptions, connection: Connection) {
    const { handlers } = options;
    this.options = options;
    this.limits = options.limits;
    this.handlers = handlers;
    this.activeAtMs = options.now();
    this.client = {
      ended: false,
      endReported: false,
      lost: false,
      lostBecause: "",
      reading: true,
      queuedBytes: 0,
      progressAtMs: 0,
      endAsked: false,
      endAskedAtMs: Infinity,
    };
    const clientVersion = options.versions.min ?? 0;
    this.inlet = this.#newInlet((buffer) => handlers.handleRequest(clientVersion, buffer, connection));
    this.links = new ServerLinks({
      now: () => options.now(),
      emit: (action) => this.emit(action),
      newId: () => this.#nextId++,
      newInlet: (version) => this.#newInlet((buffer) => handlers.handleReply(version, buffer, connection)),
    });
  }

  get inFlight(): number {
    return this.requests.size;
  }

  now(): number {
    return this.options.now();
  }

  /** Returns whether the action was a write that is done already. */
  emit(action: ConnectionAction): boolean {
    return this.options.emit(action) === true;
  }

  clientFull(): boolean {
    return this.client.queuedBytes >= this.limits.highWaterBytes;
  }

  /** Somebody takes bytes more slowly than the client sends requests. */
  congested(): boolean {
    return this.clientFull() || this.links.someFull(this.limits.highWaterBytes);
  }

  #newInlet(offer: ConstructorParameters<typeof Inlet>[0]["offer"]): Inlet {
    const inlet: Inlet = new Inlet({
      bytesMax: this.limits.inputBytesMax,
      offer,
      wait: (promise) => {
        const token = this.#nextId++;
        this.awaited.set(token, inlet);
        this.emit({ kind: "await", token, promise });
      },
    });
    return inlet;
  }
}
