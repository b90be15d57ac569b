/**
 * Copies for versions that have no say yet: a request that was answered is sent on to them, off the critical path.
 * Nothing that a shadow does reaches the client: it may be slow, stuck, or wrong, and what it cannot take in time is
 * dropped and counted.
 */
import type { Connection } from "../connection/contract.ts";
import type { VersionSet } from "../versions/version-set.ts";
import type { CompareExchanges } from "./compare-exchanges.ts";
import { newExchange, type CopyEnd, type Exchange } from "./exchange.ts";
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
  /** Undefined: nothing is compared. */
  readonly compare: CompareExchanges<Request, Reply> | undefined;
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
    const { compare, connection, shared } = this.#context;
    if (connection.draining || this.#options.wants?.(exchange.request as Request) === false) return;
    const running = connection.versions();
    const baseline =
      compare?.wants(exchange) === true
        ? compare.baselineOf(exchange, reply, shared.roles.answering(running))
        : undefined;
    for (const version of shared.roles.shadows(running)) this.#copyTo(version, exchange, reply, baseline);
  }

  /** `baseline`: the version that answered, undefined when the replies are not compared. */
  #copyTo(
    version: number,
    original: Exchange<Request, Reply>,
    reply: Reply,
    baseline: number | undefined,
  ): void {
    const { compare, connection, lines, shared } = this.#context;
    const { bytesMax = 1024 * 1024, copiesMax = 64, timeoutMs = 5_000 } = this.#options;
    const { bytes } = original;
    const counts = shared.countsOf(version);
    if ((lines.get(version)?.waiting.length ?? 0) >= copiesMax || this.#bytes + bytes > bytesMax) {
      counts.dropped += 1;
      if (baseline !== undefined) compare?.drop(baseline, version);
      return;
    }
    this.#bytes += bytes;
    const done = connection.requestStarted(bytes, { background: true });
    const cancel = connection.after(timeoutMs, () => this.#context.giveUp(version));
    const over = (shadowReply: Reply | undefined, why: CopyEnd = "lost"): void => {
      cancel();
      done();
      this.#bytes -= bytes;
      if (shadowReply === undefined) counts.failed += 1;
      if (shadowReply === undefined && why === "cut") {
        if (baseline !== undefined) compare?.drop(baseline, version);
        return;
      }
      const translated =
        shadowReply === undefined ? undefined : this.#tell(original, reply, version, shadowReply);
      if (baseline === undefined) return;
      const fate = translated === undefined ? { lost: "no reply" } : { reply: translated };
      compare?.pair(original, { version: baseline, fate: { reply } }, { version, fate });
    };
    const copy = newExchange<Request, Reply>({
      ...original,
      done,
      whenCopied: over,
      onAnsweringLine: false,
    });
    copy.answer = { kind: "nothing" };
    try {
      lines.send(lines.to(version), version, copy);
      counts.sent += 1;
    } catch {
      over(undefined);
    }
  }

  /** Returns the shadow's reply as a client would get it; undefined when it cannot be translated. */
  #tell(
    original: Exchange<Request, Reply>,
    reply: Reply,
    version: number,
    shadowReply: Reply,
  ): Reply | undefined {
    const { shared } = this.#context;
    const request = original.request as Request;
    let translated: Reply | undefined;
    try {
      translated = shared.options.transformReply?.(shadowReply, version, request) ?? shadowReply;
      this.#options.onReply?.({ request, reply, version, shadowReply: translated });
    } catch {
      shared.countsOf(version).failed += 1;
    }
    return translated;
  }
}
