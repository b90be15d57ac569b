/** One client connection's lines to the versions: opened when first needed, begun with its session, given up when stale. */
import { PeekBuffer } from "../buffer/peek-buffer.ts";
import type { Connection } from "../connection/contract.ts";
import { newExchange, type CopyEnd, type Exchange } from "./exchange.ts";
import type { FramedProxyOptions } from "./options.ts";
import { isShadowCopy, ServerLine } from "./server-line.ts";

/** Largest request that is kept for the sake of later server connections, bytes; a client holds one per session key. */
const SESSION_REQUEST_BYTES_MAX = 16 * 1024;

export class ServerLines<Request, Reply> {
  readonly #options: FramedProxyOptions<Request, Reply>;
  readonly #connection: Connection;
  readonly #serverIdleMs: number;
  readonly #byVersion = new Map<number, ServerLine<Request, Reply>>();
  /** The client's session requests that succeeded, in the order of their last success. */
  readonly #session = new Map<string, Exchange<Request, Reply>>();

  constructor(options: FramedProxyOptions<Request, Reply>, connection: Connection, serverIdleMs: number) {
    this.#options = options;
    this.#connection = connection;
    this.#serverIdleMs = serverIdleMs;
  }

  get(version: number): ServerLine<Request, Reply> | undefined {
    return this.#byVersion.get(version);
  }

  /** A copy: lines may go while it is gone through. */
  entries(): readonly (readonly [number, ServerLine<Request, Reply>])[] {
    return [...this.#byVersion];
  }

  to(version: number): ServerLine<Request, Reply> {
    const now = this.#connection.now();
    const existing = this.#byVersion.get(version);
    if (existing?.isStale(now) === false) return existing;
    if (existing !== undefined) this.#connection.dropServer(version);
    const line = new ServerLine(this.#options.framing, now, this.#serverIdleMs);
    this.#byVersion.set(version, line);
    for (const exchange of this.#session.values()) this.send(line, version, exchange);
    return line;
  }

  /** Returns the position of the request in the stream of the server connection. */
  send(line: ServerLine<Request, Reply>, version: number, exchange: Exchange<Request, Reply>): number {
    const { framing, transformRequest } = this.#options;
    const request = exchange.request as Request;
    const bytes = framing.encodeRequest(transformRequest?.(request, version) ?? request);
    const background = isShadowCopy(exchange);
    const position = this.#connection.enqueue(version, new PeekBuffer(...bytes), { background });
    if (!exchange.oneWay) line.waiting.push(exchange);
    return position;
  }

  /** Returns the exchanges that the version owes a reply. */
  drop(version: number, why: CopyEnd = "lost"): readonly Exchange<Request, Reply>[] {
    const line = this.#byVersion.get(version);
    this.#byVersion.delete(version);
    this.#connection.dropServer(version);
    const waiting = line?.waiting ?? [];
    for (const exchange of waiting) exchange.whenCopied?.(undefined, why);
    return waiting;
  }

  dropUnless(keeps: (version: number, line: ServerLine<Request, Reply>) => boolean): void {
    for (const [version, line] of this.entries()) if (!keeps(version, line)) this.drop(version, "cut");
  }

  /** The request goes in front on every line that is opened from now on. Returns false when it is too large for that. */
  remember(exchange: Exchange<Request, Reply>): boolean {
    if (exchange.bytes > SESSION_REQUEST_BYTES_MAX) return false;
    const { key } = exchange.classified;
    const name = typeof key === "string" ? key : "";
    this.#session.delete(name);
    // Already answered, without attempts: what the versions reply to it is dropped.
    const again = newExchange<Request, Reply>({ ...exchange, bytes: 0, done: () => undefined });
    again.answer = { kind: "nothing" };
    this.#session.set(name, again);
    return true;
  }
}
