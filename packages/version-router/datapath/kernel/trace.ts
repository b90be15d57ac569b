/** The live trace: says to the programs what is asked for, and takes what they queued. bpf/trace.h has the other side. */
import { meaningOf } from "../../control/verdicts.ts";
import { serviceTag } from "../../mark/index.ts";
import { unpackAdvertisement } from "../../mark/mark.ts";
import { TRACE_LEASE_MS } from "../datapath.ts";
import { INTERFACE_PREFIX, hostInterface } from "./addresses.ts";
import { occupants } from "./slot-table.ts";
import { HOOK, VERDICTS } from "./structs.ts";
import type { TraceFilter, TracedMark, TracedPacket } from "../../control/contract.ts";
import type { TraceBatch } from "../datapath.ts";
import type { Maps } from "./pins.ts";
import type { traceRecord } from "./structs.ts";

type Asked = Parameters<Maps["tracing"]["set"]>[1];
type TraceRecord = ReturnType<typeof traceRecord.decode>;

/** Taken out at once, of the 8,192 that the queue holds: about 20 ms of the daemon's time. */
const BATCH_MAX = 4096;
const LEASE_NS = BigInt(TRACE_LEASE_MS) * 1_000_000n;
const ANY_ADDRESS = "::";
const NOTHING: Asked = {
  since_ns: 0n,
  until_ns: 0n,
  peer: ANY_ADDRESS,
  version: 0,
  tag: 0,
  verdict: 0,
  port: 0,
  protocol: 0,
  pad: undefined,
};
const PROTOCOLS: ReadonlyMap<number, string> = new Map([
  [1, "icmp"],
  [6, "tcp"],
  [17, "udp"],
  [58, "icmp6"],
]);
const HOOKS = Object.keys(HOOK) as readonly (keyof typeof HOOK)[];
/** Bits of byte 13 of a TCP header, as tcpdump prints them and in its order. */
const FLAGS = [
  [0x01, "F"],
  [0x02, "S"],
  [0x04, "R"],
  [0x08, "P"],
  [0x20, "U"],
  [0x10, "."],
] as const;
const ETHERTYPES_OF_IP: readonly number[] = [0x0800, 0x86dd];

export interface Moment {
  /** Wall-clock time. */
  readonly nowMs: number;
  /** The monotonic clock at the same moment. */
  readonly nowNs: bigint;
}

/** The daemon's end of the trace. */
export class Trace {
  readonly #maps: Maps;
  readonly #uplink: string;
  #sinceNs = 0n;
  #lost = 0;

  constructor(maps: Maps, uplink: string) {
    this.#maps = maps;
    this.#uplink = uplink;
  }

  /** A daemon before this one may have been killed while it traced. */
  stop(): void {
    this.#maps.tracing.set(0, NOTHING);
    this.#sinceNs = 0n;
  }

  /** Takes a batch, and asks on with this filter. */
  take(filter: TraceFilter, moment: Moment): TraceBatch {
    const isFirst = this.#sinceNs === 0n;
    if (isFirst) this.#begin();
    // Also when the lease ran out meanwhile: what a processor kept of the time before is not shown.
    if (moment.nowNs > (this.#maps.tracing.get(0)?.until_ns ?? 0n)) this.#sinceNs = moment.nowNs;
    this.#maps.tracing.set(0, {
      ...toAsked(filter),
      since_ns: this.#sinceNs,
      until_ns: moment.nowNs + LEASE_NS,
    });
    if (isFirst) return { packets: [], missed: 0, unseen: [] };
    return { packets: this.#packets(moment), missed: this.#missed(), unseen: [] };
  }

  /** What an earlier trace left in the queue is nobody's. */
  #begin(): void {
    this.#maps.tracing.set(0, NOTHING);
    while (this.#maps.trace_queue.pop() !== undefined);
    this.#missed();
  }

  #missed(): number {
    const lost = this.#maps.trace_lost.each(0).reduce((sum, each) => sum + Number(each), 0);
    const missed = lost - this.#lost;
    this.#lost = lost;
    return missed;
  }

  #packets(moment: Moment): readonly TracedPacket[] {
    const records: TraceRecord[] = [];
    while (records.length < BATCH_MAX) {
      const record = this.#maps.trace_queue.pop();
      if (record === undefined) break;
      records.push(record);
    }
    if (records.length === 0) return [];
    const services = new Map(this.#maps.services.entries().map(([tag, { name }]) => [tag, name]));
    const slots = new Map(occupants(this.#maps).map(([slot, { ifindex }]) => [ifindex, hostInterface(slot)]));
    return records.map((record) => this.#packet(record, moment, services, slots));
  }

  #packet(
    record: TraceRecord,
    { nowMs, nowNs }: Moment,
    services: ReadonlyMap<number, string>,
    slots: ReadonlyMap<number, string>,
  ): TracedPacket {
    const hook = HOOKS[record.hook] ?? "uplink_ingress";
    const verdict = VERDICTS[record.verdict] ?? "unknown";
    const isIp = ETHERTYPES_OF_IP.includes(record.ethertype);
    const isTcp = record.protocol === 6;
    const ofDomain = slots.get(record.ifindex) ?? `${INTERFACE_PREFIX}?`;
    return {
      type: "packet",
      atMs: nowMs - Number(nowNs - record.time_ns) / 1e6,
      hook,
      direction: hook === "tap_ingress" ? "out" : "in",
      interface: hook === "uplink_ingress" ? this.#uplink : ofDomain,
      protocol: isIp ? (PROTOCOLS.get(record.protocol) ?? String(record.protocol)) : "",
      source: record.source,
      sourcePort: record.source_port,
      destination: record.destination,
      destinationPort: record.destination_port,
      ...(isTcp ? { flags: flagsOf(record.flags) } : {}),
      bytes: record.bytes,
      service: services.get(record.tag) ?? "",
      version: record.version,
      ...(record.mark_version === 0 ? {} : { mark: toMark(record, services) }),
      verdict,
      ...meaningOf(verdict),
    };
  }
}

function toAsked({ service, version = 0, peer = ANY_ADDRESS, port = 0, verdict }: TraceFilter): Asked {
  return {
    ...NOTHING,
    peer,
    version,
    port,
    tag: service === undefined ? 0 : serviceTag(service),
    verdict: verdict === undefined ? 0 : numberOf(verdict),
  };
}

/** From 1. What no program gives asks for nothing: a number beyond all of them. */
function numberOf(verdict: string): number {
  const index = (VERDICTS as readonly string[]).indexOf(verdict);
  return index < 0 ? 0xffff : index + 1;
}

function toMark(record: TraceRecord, services: ReadonlyMap<number, string>): TracedMark {
  const advertisement = unpackAdvertisement(record.mark_advertisement);
  return {
    service: services.get(record.mark_tag) ?? "",
    tag: record.mark_tag,
    senderVersion: record.mark_version,
    ...(advertisement === undefined ? {} : { advertisement }),
  };
}

function flagsOf(bits: number): string {
  return FLAGS.flatMap(([bit, letter]) => (bits & bit ? [letter] : [])).join("");
}
