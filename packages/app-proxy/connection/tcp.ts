/** The shell of a connection's core over `node:net`: sockets, one timer, nothing else. */
import net from "node:net";
import type { VersionSet } from "../versions/version-set.ts";
import type { ConnectionAction, ConnectionLimits, ProxyHandlers } from "./contract.ts";
import { ConnectionCore } from "./core.ts";

export interface Endpoint {
  readonly host: string;
  readonly port: number;
}

export interface TcpConnectionOptions {
  readonly id: number;
  readonly socket: net.Socket;
  readonly handlers: ProxyHandlers;
  readonly versions: VersionSet;
  readonly limits: ConnectionLimits;
  /** Where the server of a version listens, undefined when that is not known. */
  endpointOf(version: number): Endpoint | undefined;
  /** Told of each request that starts; the returned function of its end. */
  trackRequest(): () => void;
  onClosed(reason: string): void;
}

/** Longest delay that a timer of Node takes, milliseconds. */
const TIMER_MS_MAX = 2 ** 31 - 1;

/** Serves a client's socket (opened with `allowHalfOpen`) until it is over. */
export class TcpConnection {
  readonly core: ConnectionCore;
  readonly #options: TcpConnectionOptions;
  readonly #servers = new Map<number, net.Socket>();
  #timer: NodeJS.Timeout | undefined;

  constructor(options: TcpConnectionOptions) {
    this.#options = options;
    const { socket } = options;
    socket.setNoDelay(true);
    this.core = new ConnectionCore({
      id: options.id,
      clientAddress: `${socket.remoteAddress ?? ""}:${socket.remotePort ?? 0}`,
      handlers: options.handlers,
      versions: options.versions,
      limits: options.limits,
      now,
      emit: (action) => this.#perform(action),
      trackRequest: () => options.trackRequest(),
    });
    socket.on("data", (bytes) => this.core.handle({ kind: "client-data", bytes }));
    socket.on("end", () => this.core.handle({ kind: "client-end" }));
    // What went wrong does not matter: "close" follows, and says that the client is gone.
    socket.on("error", () => undefined);
    socket.on("close", () => this.core.handle({ kind: "client-lost" }));
  }

  /** Ends the connection at once. */
  destroy(): void {
    this.#options.socket.destroy();
  }

  #perform(action: ConnectionAction): boolean | void {
    const { socket } = this.#options;
    switch (action.kind) {
      case "client-write":
        return write(socket, action.chunks, (bytes) => this.core.handle({ kind: "client-written", bytes }));
      case "client-end":
        return void socket.end();
      case "client-read":
        return void (action.on ? socket.resume() : socket.pause());
      case "open":
        return this.#open(action.link, action.version);
      case "await":
        return void action.promise.then(
          (result) => this.core.handle({ kind: "handled", token: action.token, result }),
          (error: unknown) => this.core.handle({ kind: "handled", token: action.token, result: { error } }),
        );
      case "wake-at":
        return this.#wakeAt(action.atMs);
      case "closed":
        return this.#close(action.reason);
      default:
        return this.#performOnServer(action);
    }
  }

  #performOnServer(action: Extract<ConnectionAction, { readonly kind: `server-${string}` }>): boolean | void {
    const server = this.#servers.get(action.link);
    if (server === undefined) return;
    switch (action.kind) {
      case "server-write":
        return write(server, action.chunks, (bytes) =>
          this.core.handle({ kind: "server-written", link: action.link, bytes }),
        );
      case "server-end":
        return void server.end();
      case "server-read":
        return void (action.on ? server.resume() : server.pause());
      case "server-close":
        this.#servers.delete(action.link);
        return void server.destroy();
    }
  }

  #open(link: number, version: number): void {
    const endpoint = this.#options.endpointOf(version);
    if (endpoint === undefined) {
      queueMicrotask(() => this.core.handle({ kind: "server-lost", link, detail: "no endpoint is known" }));
      return;
    }
    const server = net.connect({ ...endpoint, allowHalfOpen: true, noDelay: true });
    this.#servers.set(link, server);
    let detail: string | undefined;
    server.on("connect", () => this.core.handle({ kind: "server-connected", link }));
    server.on("data", (bytes) => this.core.handle({ kind: "server-data", link, bytes }));
    server.on("end", () => this.core.handle({ kind: "server-end", link }));
    server.on("error", (error) => (detail = error.message));
    server.on("close", () => {
      this.#servers.delete(link);
      this.core.handle({ kind: "server-lost", link, ...(detail === undefined ? {} : { detail }) });
    });
  }

  #wakeAt(atMs: number): void {
    clearTimeout(this.#timer);
    const delayMs = Math.min(Math.max(0, Math.ceil(atMs - now())), TIMER_MS_MAX);
    this.#timer = setTimeout(() => this.core.handle({ kind: "tick" }), delayMs);
  }

  #close(reason: string): void {
    clearTimeout(this.#timer);
    for (const server of this.#servers.values()) server.destroy();
    this.#servers.clear();
    this.#options.socket.destroy();
    this.#options.onClosed(reason);
  }
}

function now(): number {
  return performance.now();
}

/**
 * Writes all chunks in one system call. Returns whether they have left the process, as nearly always; if not, `written`
 * is told when they have.
 */
function write(socket: net.Socket, chunks: readonly Buffer[], written: (bytes: number) => void): boolean {
  const last = chunks.length - 1;
  let bytes = 0;
  let gone = false;
  if (last > 0) socket.cork();
  for (const [index, chunk] of chunks.entries()) {
    bytes += chunk.length;
    if (index < last) socket.write(chunk);
    else
      socket.write(chunk, (error) => {
        // After an error "close" follows.
        if (!gone && (error === undefined || error === null)) written(bytes);
      });
  }
  if (last > 0) socket.uncork();
  gone = socket.writableLength === 0;
  return gone;
}
