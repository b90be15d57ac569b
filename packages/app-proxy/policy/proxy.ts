/** A proxy for any framed protocol, its policies called by name. */
import type { Framing } from "../framing/contract.ts";
import type { Classified, Policy } from "./contract.ts";
import { createFramedProxy, type FramedProxy } from "./framed-proxy.ts";
import type { FramedProxyOptions } from "./options.ts";
import { readAllChoose, type VersionReply } from "./read-all-choose.ts";
import { readNewestThenOlder } from "./read-newest-then-older.ts";
import { writeAll } from "./write-all.ts";

/** How a read is answered. */
export type Reads<Request, Reply> =
  /** Of the newest version that has what is asked for. */
  | "newest-then-older"
  /** All are asked: the first success that comes. */
  | "first"
  /** All are asked: the longest success. */
  | "longest"
  /** All are asked: what the function makes of their replies, newest version first. */
  | { readonly choose: (replies: readonly VersionReply<Reply>[], request: Request) => Reply }
  | Policy<Request, Reply>;

export interface ProxyOptions<Request, Reply> extends Omit<
  FramedProxyOptions<Request, Reply>,
  "classify" | "writes" | "reads"
> {
  /** Default: the framing's, when its protocol says what requests are; else everything is a write. */
  readonly classify?: (request: Request) => Classified;
  /** Default `all`: every version must succeed. */
  readonly writes?: "all" | Policy<Request, Reply>;
  /** Default `newest-then-older`. */
  readonly reads?: Reads<Request, Reply>;
  /** Whether a reply to a read has what was asked for. Default: what the framing says, or success. */
  readonly isFound?: (reply: Reply, request: Request) => boolean;
}

export function createProxy<Request, Reply>(options: ProxyOptions<Request, Reply>): FramedProxy {
  const { classify, framing, isFound, reads, writes, ...rest } = options;
  const isSuccess = rest.isSuccess ?? framing.isSuccess ?? (() => true);
  const found = isFound ?? (rest.isSuccess === undefined ? framing.isFound : undefined) ?? isSuccess;
  return createFramedProxy<Request, Reply>({
    ...rest,
    framing,
    classify: classify ?? framing.classify ?? (() => ({ kind: "write" })),
    writes: writes === undefined || writes === "all" ? writeAll({ isSuccess }) : writes,
    reads: readsOf(reads ?? "newest-then-older", framing, found),
  });
}

function readsOf<Request, Reply>(
  reads: Reads<Request, Reply>,
  { lengthOf }: Framing<Request, Reply>,
  isSuccess: (reply: Reply, request: Request) => boolean,
): Policy<Request, Reply> {
  if (typeof reads === "function") return reads;
  if (typeof reads === "object") return readAllChoose(reads);
  if (reads === "newest-then-older") return readNewestThenOlder({ isSuccess });
  return readAllChoose({ choose: reads, isSuccess, ...(lengthOf === undefined ? {} : { lengthOf }) });
}
