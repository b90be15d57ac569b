/** Filters of a trace: whether a packet is asked for, and what several filters have in common. Pure. */
import type { TraceFilter, TracedPacket } from "../control/contract.ts";

export function isAskedFor(
  packet: TracedPacket,
  { service, version, peer, port, verdict }: TraceFilter,
): boolean {
  const { mark } = packet;
  return (
    isOneOf(service, packet.service, mark?.service) &&
    isOneOf(version, packet.version, mark?.senderVersion) &&
    isOneOf(peer, packet.source, packet.destination) &&
    isOneOf(port, packet.sourcePort, packet.destinationPort) &&
    isOneOf(verdict, packet.verdict)
  );
}

/** A filter that lets through what any of these does: those parts in which all agree. */
export function unionOf(filters: readonly TraceFilter[]): TraceFilter {
  const [first = {}, ...others] = filters;
  const parts = Object.entries(first) as [keyof TraceFilter, unknown][];
  return Object.fromEntries(parts.filter(([name, value]) => others.every((other) => other[name] === value)));
}

function isOneOf<T>(asked: T | undefined, ...found: readonly (T | undefined)[]): boolean {
  return asked === undefined || found.includes(asked);
}
