/** A framework for proxies that show clients one service while several versions of it run. See docs/PROXY.md. */
export { PeekBuffer } from "./buffer/peek-buffer.ts";
export * from "./connection/contract.ts";
export { ProxyError, type ProxyErrorCode } from "./errors.ts";
export { ALL_KEYS, type Classified } from "./framing/classified.ts";
export type * from "./framing/contract.ts";
export * from "./framing/datagram/index.ts";
export * from "./framing/http/index.ts";
export * from "./framing/length-prefix/index.ts";
export * from "./framing/lines/index.ts";
export * from "./framing/msgpack/index.ts";
export * from "./framing/onc-rpc/index.ts";
export * from "./framing/resp/index.ts";
export type { ComparableValue, ComparisonReport, FieldReport, Sample, Verdict } from "./compare/index.ts";
export type { Outcome, Policy, Progress, Step } from "./policy/contract.ts";
export { createFramedProxy, type FramedProxy } from "./policy/framed-proxy.ts";
export {
  createHttpProxy,
  httpReadNewestThenOlder,
  httpWriteAll,
  type HttpProxyOptions,
} from "./policy/http-proxy.ts";
export { oldestDecides, type OldestDecides, type OldestDecidesOptions } from "./policy/oldest-decides.ts";
export type { ExchangeLimits, FramedProxyOptions, VersionCounts } from "./policy/options.ts";
export { createProxy, type ProxyOptions, type Reads } from "./policy/proxy.ts";
export { readAllChoose, type ReadAllOptions, type VersionReply } from "./policy/read-all-choose.ts";
export type { CompareOptions } from "./policy/compare.ts";
export type { ProxyEvent } from "./policy/events.ts";
export type { QuarantineOptions } from "./policy/quarantine.ts";
export type { ShadowOptions, ShadowPair } from "./policy/shadow.ts";
export { translateSteps, type Translation, type TranslationStep } from "./policy/translate.ts";
export { readNewestThenOlder } from "./policy/read-newest-then-older.ts";
export { writeAll } from "./policy/write-all.ts";
export { toolkit, type ProxyContext, type ProxyFactory, type Toolkit } from "./toolkit.ts";
export { VersionSet } from "./versions/version-set.ts";
