/**
 * Copies for versions that have no say yet: a request that was answered is sent on to them, off the critical path.
 * Nothing that a shadow does reaches the client: it may be slow, stuck, or wrong, and what it cannot take in time is
 * dropped and counted.
 */
import type { Connection } from "../connection/contract.ts";
import type { VersionSet } from "../versions/version-set.ts";
import { newExchange, type Exchange } from "./exchange.ts";
import type { ServerLines } from "./server-lines.ts";
import type { SharedState } from "./shared-state.ts";

export interface ShadowOptions<Request, Reply> {
  /** Which of the versions that run are shadows. Default: the newest, while another runs. */
  readonly versions?: (version: number, running: VersionSet) => boolean;
  /** Which requests they get copies of. Default: all, so that they hold what was written. */
  readonly wants?: (request: Request) => boolean;
  /** Copies that one client connection has on their way to one version. Default 64. */
  readonly copiesMax?: number;
  /** Bytes that the copies of one client connection hold. Default 1 MiB. */
  readonly bytesMax?: number;
  /**
   * Milliseconds that a shadow has to reply; then its connection is given up, with the copies on it. Default 5,000. A
   * client's connection is kept as long after the client has gone, so that the last copies are not lost.
   */
  readonly timeoutMs?: number;
  /** Told of each reply of a shadow, beside the one that the client got. What it throws is ignored. */
  readonly onReply?: (pair: ShadowPair<Request, Reply>) => void;
}

export interface ShadowPair<Request, Reply> {
  readonly request: Request;
  /** What the client got. */
  readonly reply: Reply;
  readonly version: number;
  /** What the shadow replied, translated. */
  readonly shadowReply: Reply;
}

export interface ShadowContext<Request, Reply> {
  readonly connection: Connection;
  readonly lines: ServerLines<Request, Reply>;
  readonly shared: SharedState<Request, Reply>;
  /** The version's connection is of no use any more. */
  giveUp(version: number): void;
}

/** Of one client connection. */
export class Shadow<Request, Reply> {
  readonly #options: ShadowOptions<Request, Reply>;
  readonly #context: ShadowContext<Request, Reply>;
  #bytes = 0;

  constructor(options: ShadowOptions<Request, Reply>, context: ShadowContext<Request, Reply>) {
    this.#options = options;
    this.#context = context;
  }

  /** The exchange was answered with this reply. */
  copy(exchange: Exchange<Request, Reply>, reply: Reply): void {
    const { connection, shared } = this.#context;
    if (connection.draining || this.#options.wants?.(exchange.request as Request) === false) return;
    for (const version of shared.roles.shadows(connection.versions())) this.#copyTo(version, exchange, reply);
  }

  #copyTo(version: number, original: Exchange<Request, Reply>, reply: Reply): void {
    const { connection, lines, shared } = this.#context;
    const { bytesMax = 1024 * 1024, copiesMax = 64, timeoutMs = 5_000 } = this.#options;
    const { bytes } = original;
    const counts = shared.countsOf(version);
    if ((lines.get(version)?.waiting.length ?? 0) >= copiesMax || this.#bytes + bytes > bytesMax) {
      counts.dropped += 1;
      return;
    }
    this.#bytes += bytes;
    const done = connection.requestStarted(bytes, { background: true });
    const cancel = connection.after(timeoutMs, () => this.#context.giveUp(version));
    const over = (shadowReply: Reply | undefined): void => {
      cancel();
      done();
      this.#bytes -= bytes;
      if (shadowReply === undefined) counts.failed += 1;
      else this.#tell(original, reply, version, shadowReply);
    };
    const copy = newExchange<Request, Reply>({ ...original, done, whenCopied: over });
    copy.answer = { kind: "nothing" };
    try {
      lines.send(lines.to(version), version, copy);
      counts.sent += 1;
    } catch {
      over(undefined);
    }
  }

  #tell(original: Exchange<Request, Reply>, reply: Reply, version: number, shadowReply: Reply): void {
    const { shared } = this.#context;
    const request = original.request as Request;
    try {
      const translated = shared.options.transformReply?.(shadowReply, version, request) ?? shadowReply;
      this.#options.onReply?.({ request, reply, version, shadowReply: translated });
    } catch {
      shared.countsOf(version).failed += 1;
    }
  }
}
