/** What a framed proxy is made of. */
import type { Framing } from "../framing/contract.ts";
import type { CompareOptions } from "./compare.ts";
import type { Classified, Policy } from "./contract.ts";
import type { QuarantineOptions } from "./quarantine.ts";
import type { ShadowOptions } from "./shadow.ts";

export interface ExchangeLimits {
  /** Milliseconds from a request's turn to its answer. Default 30,000. */
  readonly requestTimeoutMs: number;
  /** Requests of one client connection accepted before the first is answered. Default 16. */
  readonly pipelineMax: number;
  /** Bytes of accepted and unanswered requests of one client connection above which no more is accepted. Default 1 MiB. */
  readonly pipelineBytesMax: number;
  /** Milliseconds for which a request that was not sent is tried again on fresh connections. Default 5,000. */
  readonly connectRetryMs: number;
  /**
   * Milliseconds without traffic after which a server connection is not used again, because the server may be closing
   * it just now. A reply's own hint (HTTP's Keep-Alive) counts instead, less a second. Default: the framing's, 4,000
   * for HTTP and no limit for protocols whose servers do not do that.
   */
  readonly serverIdleMs: number;
  /**
   * Datagrams only: milliseconds without a version's reply after which a request that the client repeats is sent to it
   * again; sooner it is taken for a duplicate of the network. Default 200.
   */
  readonly repeatAfterMs: number;
  /** Datagrams with ids only: milliseconds for which a write and its answer are remembered. Default 30,000. */
  readonly rememberMs: number;
  /** Of what is remembered for one client, bytes. Default 256 KiB. */
  readonly rememberBytesMax: number;
}

export const DEFAULT_EXCHANGE_LIMITS: ExchangeLimits = {
  requestTimeoutMs: 30_000,
  pipelineMax: 16,
  pipelineBytesMax: 1024 * 1024,
  connectRetryMs: 5_000,
  serverIdleMs: Infinity,
  repeatAfterMs: 200,
  rememberMs: 30_000,
  rememberBytesMax: 256 * 1024,
};

/** A client of datagrams repeats what was lost, and does not wait for long. */
export const DEFAULT_DATAGRAM_LIMITS: Partial<ExchangeLimits> = { requestTimeoutMs: 5_000, pipelineMax: 64 };

export interface FramedProxyOptions<Request, Reply> {
  readonly framing: Framing<Request, Reply>;
  readonly classify: (request: Request) => Classified;
  /** Also for requests of the kind `session`. */
  readonly writes: Policy<Request, Reply>;
  readonly reads: Policy<Request, Reply>;
  /** The request as a version wants it. Must not change the request that it gets. */
  readonly transformRequest?: (request: Request, version: number) => Request;
  /** The reply as the client wants it; `request` as the client sent it. */
  readonly transformReply?: (reply: Reply, version: number, request: Request) => Reply;
  /** Whether a server did what it was asked. Default: what the framing says. */
  readonly isSuccess?: (reply: Reply, request: Request) => boolean;
  /**
   * What becomes of a version that fails writes which others do. Default `strict`: the writes fail. `quarantine`: after
   * some, the version is kept out, an event says so, and the others go on.
   */
  readonly sickVersions?: "strict" | "quarantine" | QuarantineOptions;
  /** Versions that get copies instead of a say. Default: none. */
  readonly shadow?: ShadowOptions<Request, Reply>;
  /** Compares replies, of shadows and of versions that are asked at once. Default: nothing is compared. */
  readonly compare?: CompareOptions<Request, Reply>;
  readonly limits?: Partial<ExchangeLimits>;
}

/** Datagrams that no policy saw, since the start. */
export interface DatagramDrops {
  /** From clients: no message. */
  malformed: number;
  /** From clients: too many requests on their way, or another one with the same id. */
  busy: number;
  /** From versions: nobody asked, or not any more; duplicates among them. */
  unasked: number;
}

/** Sums over all connections of a proxy. */
export interface VersionCounts {
  sent: number;
  replied: number;
  failed: number;
  retried: number;
  /** Copies for a shadow that there was no room for. */
  dropped: number;
  /** For people: what the last failure was. */
  lastFailure?: string;
}
