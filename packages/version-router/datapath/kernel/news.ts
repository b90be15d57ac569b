/** What the kernel tells: marks that were heard, and counters, also by peer, summed over the processors. */
import { unpackAdvertisement } from "../../mark/mark.ts";
import { VERDICTS } from "./structs.ts";
import type { Counter, PeerCounter } from "../../control/contract.ts";
import type { HeardMark } from "../datapath.ts";
import type { Maps } from "./pins.ts";

/** `nowMs` is wall-clock time and `nowNs` the monotonic clock at the same moment. */
export function readHeard(maps: Maps, nowMs: number, nowNs: bigint): readonly HeardMark[] {
  return maps.heard.entries().flatMap(([key, lastNs]) => {
    const advertisement = unpackAdvertisement(key.advertisement);
    if (advertisement === undefined) return [];
    return {
      peerAddress: key.peer,
      tag: key.tag,
      senderVersion: key.version,
      advertisement,
      lastHeardMs: nowMs - Number((nowNs - lastNs) / 1_000_000n),
    };
  });
}

/** Packets of no service (strangers on the uplink) are counted under the service "". */
export function readCounters(maps: Maps): readonly Counter[] {
  const names = new Map(maps.services.entries().map(([tag, service]) => [tag, service.name]));
  const sums = new Map<string, Counter>();
  for (const [key, value] of maps.counters.entries()) {
    const id = `${key.tag} ${key.version} ${key.verdict}`;
    const before = sums.get(id);
    sums.set(id, {
      service: names.get(key.tag) ?? "",
      version: key.version,
      verdict: VERDICTS[key.verdict] ?? "unknown",
      packets: (before?.packets ?? 0) + Number(value.packets),
      bytes: (before?.bytes ?? 0) + Number(value.bytes),
    });
  }
  return [...sums.values()];
}

/** Of managed peers. `nowMs` and `nowNs` as with `readHeard`. */
export function readPeerCounters(maps: Maps, nowMs: number, nowNs: bigint): readonly PeerCounter[] {
  const names = new Map(maps.services.entries().map(([tag, service]) => [tag, service.name]));
  const sums = new Map<string, PeerCounter>();
  for (const [key, value] of maps.peer_counters.entries()) {
    // Processors that have not counted it have no time.
    if (value.packets === 0n) continue;
    const id = `${key.peer} ${key.tag} ${key.version} ${key.verdict}`;
    const before = sums.get(id);
    const lastSeenMs = nowMs - Number((nowNs - value.last_seen_ns) / 1_000_000n);
    sums.set(id, {
      peerAddress: key.peer,
      service: names.get(key.tag) ?? "",
      version: key.version,
      verdict: VERDICTS[key.verdict] ?? "unknown",
      packets: (before?.packets ?? 0) + Number(value.packets),
      bytes: (before?.bytes ?? 0) + Number(value.bytes),
      lastSeenMs: Math.max(before?.lastSeenMs ?? 0, lastSeenMs),
    });
  }
  return [...sums.values()];
}
