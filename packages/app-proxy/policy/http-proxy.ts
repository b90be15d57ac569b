/** A ready-made proxy for services with an HTTP/1.1 interface. */
import { DEFAULT_HTTP_LIMITS, httpFraming, isHttpSuccess } from "../framing/http/framing.ts";
import type { HttpReply, HttpRequest } from "../framing/http/message.ts";
import type { HttpLimits } from "../framing/http/readers.ts";
import type { Policy } from "./contract.ts";
import type { FramedProxy } from "./framed-proxy.ts";
import { createProxy, type ProxyOptions } from "./proxy.ts";
import { readNewestThenOlder } from "./read-newest-then-older.ts";
import { writeAll } from "./write-all.ts";

export interface HttpProxyOptions extends Omit<ProxyOptions<HttpRequest, HttpReply>, "framing"> {
  readonly httpLimits?: Partial<HttpLimits>;
}

/**
 * Defaults: GET, HEAD, OPTIONS and TRACE are reads; the rest are writes, one at a time per path; writes go to all
 * versions; reads go to the newest and, when it does not answer 1xx…3xx, to older ones.
 */
export function createHttpProxy(options: HttpProxyOptions = {}): FramedProxy {
  const { httpLimits, ...rest } = options;
  return createProxy({ ...rest, framing: httpFraming({ ...DEFAULT_HTTP_LIMITS, ...httpLimits }) });
}

export function httpWriteAll(): Policy<HttpRequest, HttpReply> {
  return writeAll({ isSuccess: isHttpSuccess });
}

export function httpReadNewestThenOlder(): Policy<HttpRequest, HttpReply> {
  return readNewestThenOlder({ isSuccess: isHttpSuccess });
}
