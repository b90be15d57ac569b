/**
 * The words between the framework and an application's proxy (CMU-CS-05-190 §3.4, figures 4 and 6), and between the
 * core of a connection and the shell that owns its sockets.
 */
import type { PeekBuffer } from "../buffer/peek-buffer.ts";
import type { VersionSet } from "../versions/version-set.ts";

/**
 * What an application supplies.
 *
 * `handleRequest` and `handleReply` are called with everything that has arrived and was not consumed, the peek mark at
 * the beginning. They return how many bytes they are done with: 0 means that the message is not complete, and they are
 * called again when more has come. With a promise, no further call is made for the same sender until it settles.
 * Bytes taken by `buffer.read` count as consumed whatever is returned. A handler that throws or rejects ends the
 * connection that the bytes came from.
 */
export interface ProxyHandlers {
  /** `version`: what the client is taken to speak, the oldest version that ran when it connected (0 if none ran). */
  handleRequest(version: number, buffer: PeekBuffer, connection: Connection): number | Promise<number>;
  /** `version`: the version of the server that sent the bytes. */
  handleReply(version: number, buffer: PeekBuffer, connection: Connection): number | Promise<number>;
  /**
   * The client will send nothing more; called once, after its last bytes were offered. Without this method the end is
   * passed on to every server.
   */
  clientEnded?(connection: Connection): void;
  /**
   * A server's stream ended or could not be had. `buffer` has what it sent and nobody consumed. Without this method an
   * orderly end is passed on to the client when every server has ended, and a failure ends the client's connection.
   */
  serverEnded?(end: ServerEnd, buffer: PeekBuffer, connection: Connection): void;
  /** The set of versions changed. Connections to versions that went have been ended (reason `retired`) before. */
  versionsChanged?(connection: Connection): void;
  /** The proxy is being taken out of the path: end this connection at the next message boundary. */
  draining?(connection: Connection): void;
  /** The connection is over; nothing can be sent any more. Called once, last. */
  closed?(connection: Connection): void;
  /** What these handlers can serve, TCP ports (`stream`) or UDP ports (`datagram`). Default: both. */
  readonly transport?: "stream" | "datagram";
  /**
   * Handlers of the service's UDP ports, when they differ from those of its TCP ports. Of a UDP port `connection` is
   * what comes from one client address and port, each call has one datagram whole, whatever it returns, and each buffer
   * enqueued is one datagram.
   */
  readonly datagrams?: ProxyHandlers;
}

/** What an application's handlers can do with one client's connection. */
export interface Connection {
  /** Unique within the process. */
  readonly id: number;
  /** `address:port` of the client. */
  readonly clientAddress: string;
  readonly draining: boolean;
  /** The versions that run now; changes live. */
  versions(): VersionSet;
  /**
   * Sends to the server of a version; opens a connection to it when there is none. The buffer belongs to the
   * connection from then on. Returns the position of its first byte in the stream of that server connection, to be
   * compared with `ServerEnd.sentBytes`. Throws E_NO_SUCH_VERSION when that version does not run.
   *
   * `background`: the client is read on however little this server takes; bound what you send yourself.
   */
  enqueue(
    version: number,
    data: PeekBuffer | Uint8Array,
    options?: { readonly background?: boolean },
  ): number;
  /** Sends to the client. The buffer belongs to the connection from then on. Nothing happens when the client is gone. */
  enqueueClient(data: PeekBuffer | Uint8Array): void;
  /** Ends the stream to the client after what is queued. What the client still sends is thrown away. */
  endClient(): void;
  /** Ends the stream to a server after what is queued. What it still sends arrives. */
  endServer(version: number): void;
  /** Closes the connection to a server at once, without `serverEnded`. The next `enqueue` opens a new one. */
  dropServer(version: number): void;
  /**
   * Says that a request is in flight, until the returned function is called. Meanwhile the connection is not idle, and
   * its server connections outlive a client that goes away, so that a write is not left half done. `bytes`: memory
   * that the request holds until then, counted against the process's bound. `background`: a change of versions need
   * not wait for it.
   */
  requestStarted(bytes?: number, options?: { readonly background?: boolean }): () => void;
  /** Calls `callback` once after `delayMs` milliseconds unless cancelled by the returned function. */
  after(delayMs: number, callback: () => void): () => void;
  /** Milliseconds of a clock that only goes forward. */
  now(): number;
}

export interface ServerEnd {
  readonly version: number;
  /**
   * `refused`: never connected. `ended`: the server ended its stream. `failed`: broken or reset.
   * `stalled`: took no bytes for too long. `retired`: the version does not run any more.
   */
  readonly reason: "refused" | "ended" | "failed" | "stalled" | "retired";
  /** Bytes of this server connection's stream that may have reached the server; what lies behind was never sent. */
  readonly sentBytes: number;
  readonly detail?: string;
}

/** Bounds of one client connection. */
export interface ConnectionLimits {
  /** Unconsumed bytes kept per sender; a message must fit. Default 17 MiB. Memory grows with it per busy connection. */
  readonly inputBytesMax: number;
  /** Queued bytes towards one receiver at which reading from the other side stops. Default 256 KiB. */
  readonly highWaterBytes: number;
  /** Milliseconds without a byte and without a request in flight until the connection is closed. Default 300,000. */
  readonly idleTimeoutMs: number;
  /** Milliseconds from the first byte of a client's message to its last. Default 60,000. */
  readonly messageTimeoutMs: number;
  /** Milliseconds that a receiver may take no queued bytes before it is given up. Default 60,000. */
  readonly stallTimeoutMs: number;
  /** Milliseconds that a client has to close its side after the proxy ended its own. Default 5,000. */
  readonly lingerTimeoutMs: number;
  /** Milliseconds for opening a connection to a server. Default 5,000. */
  readonly connectTimeoutMs: number;
  /** While draining: milliseconds of silence after which a connection without a request is ended. Default 1,000. */
  readonly drainQuietMs: number;
}

export const DEFAULT_LIMITS: ConnectionLimits = {
  inputBytesMax: 17 * 1024 * 1024,
  highWaterBytes: 256 * 1024,
  idleTimeoutMs: 300_000,
  messageTimeoutMs: 60_000,
  stallTimeoutMs: 60_000,
  lingerTimeoutMs: 5_000,
  connectTimeoutMs: 5_000,
  drainQuietMs: 1_000,
};

/** What the shell tells the core. `link` is the number that the core gave in `open`. */
export type ConnectionEvent =
  | { readonly kind: "client-data"; readonly bytes: Uint8Array }
  | { readonly kind: "client-end" }
  | { readonly kind: "client-lost" }
  | { readonly kind: "client-written"; readonly bytes: number }
  | { readonly kind: "server-connected"; readonly link: number }
  | { readonly kind: "server-data"; readonly link: number; readonly bytes: Uint8Array }
  | { readonly kind: "server-end"; readonly link: number }
  | { readonly kind: "server-lost"; readonly link: number; readonly detail?: string }
  | { readonly kind: "server-written"; readonly link: number; readonly bytes: number }
  /** The promise of an `await` action settled. */
  | {
      readonly kind: "handled";
      readonly token: number;
      readonly result: number | { readonly error: unknown };
    }
  | { readonly kind: "versions-changed" }
  | { readonly kind: "drain" }
  | { readonly kind: "tick" };

/**
 * What the core asks of the shell, in order. The shell must not call the core back before `emit` returns. It may say at
 * once that the bytes of a write have left the process; then no event says so.
 */
export type ConnectionAction =
  | { readonly kind: "client-write"; readonly chunks: readonly Buffer[] }
  | { readonly kind: "client-end" }
  | { readonly kind: "client-read"; readonly on: boolean }
  | { readonly kind: "open"; readonly link: number; readonly version: number }
  | { readonly kind: "server-write"; readonly link: number; readonly chunks: readonly Buffer[] }
  | { readonly kind: "server-end"; readonly link: number }
  | { readonly kind: "server-read"; readonly link: number; readonly on: boolean }
  | { readonly kind: "server-close"; readonly link: number }
  | { readonly kind: "await"; readonly token: number; readonly promise: Promise<number> }
  | { readonly kind: "wake-at"; readonly atMs: number }
  /** Everything is over: destroy the client's socket and what is left of the servers'. Comes once, last. */
  | { readonly kind: "closed"; readonly reason: string };
