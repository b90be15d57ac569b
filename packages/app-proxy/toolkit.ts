/**
 * What a release's proxy module is handed. The module lives in the release, outside of our node_modules, so it imports
 * nothing from us but types:
 *
 *     export default (toolkit) => toolkit.createProxy({ framing: toolkit.linesFraming(), classify: … });
 */
import { PeekBuffer } from "./buffer/peek-buffer.ts";
import type { ProxyHandlers } from "./connection/contract.ts";
import { ALL_KEYS } from "./framing/classified.ts";
import { datagramFraming } from "./framing/datagram/index.ts";
import { classifyHttp, headerOf, httpFraming, plainReply } from "./framing/http/index.ts";
import { lengthPrefixFraming } from "./framing/length-prefix/index.ts";
import { linesFraming } from "./framing/lines/index.ts";
import { msgpackFraming, msgpackRpcFraming } from "./framing/msgpack/index.ts";
import { oncRpcFraming, rpcReply } from "./framing/onc-rpc/index.ts";
import {
  classifyResp,
  respDecode,
  respEncode,
  RespError,
  respFraming,
  respRequest,
} from "./framing/resp/index.ts";
import { createFramedProxy } from "./policy/framed-proxy.ts";
import { createHttpProxy, httpReadNewestThenOlder, httpWriteAll } from "./policy/http-proxy.ts";
import { createProxy } from "./policy/proxy.ts";
import { oldestDecides } from "./policy/oldest-decides.ts";
import { readAllChoose } from "./policy/read-all-choose.ts";
import { readNewestThenOlder } from "./policy/read-newest-then-older.ts";
import { translateSteps } from "./policy/translate.ts";
import { writeAll } from "./policy/write-all.ts";
import { VersionSet } from "./versions/version-set.ts";

export const toolkit = {
  ALL_KEYS,
  PeekBuffer,
  RespError,
  VersionSet,
  classifyHttp,
  classifyResp,
  createFramedProxy,
  createHttpProxy,
  createProxy,
  datagramFraming,
  headerOf,
  httpFraming,
  httpReadNewestThenOlder,
  httpWriteAll,
  lengthPrefixFraming,
  linesFraming,
  msgpackFraming,
  msgpackRpcFraming,
  oldestDecides,
  oncRpcFraming,
  plainReply,
  readAllChoose,
  readNewestThenOlder,
  respDecode,
  respEncode,
  respFraming,
  respRequest,
  rpcReply,
  translateSteps,
  writeAll,
};

export type Toolkit = typeof toolkit;

export interface ProxyContext {
  readonly service: string;
  /** Adds a line to the proxy's log. */
  log(line: string): void;
}

/** The default export of a release's proxy module. */
export type ProxyFactory = (
  toolkit: Toolkit,
  context: ProxyContext,
) => ProxyHandlers | Promise<ProxyHandlers>;
