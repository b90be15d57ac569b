/** What the relay's thread and its rules know, in the words of the control API. Pure. */
import { formatAddress } from "./endpoint.ts";
import type { Flow, PeerCounter } from "../../control/contract.ts";
import type { RelayFlow } from "./messages.ts";
import type { TalliedPeer } from "./peer-tally.ts";
import type { RelayDomain } from "./state.ts";

/** A peer whose SYN-ACKs come without the option that they must have. */
export interface StrippedPeer {
  readonly address: string;
  readonly domain: RelayDomain;
  readonly packets: number;
  readonly bytes: number;
  readonly lastSeenMs: number;
}

export function toListedFlow(flow: RelayFlow, { service, version }: RelayDomain, nowMs: number): Flow {
  const { protocol, kind, remote, localPort, state, lastSeenMs } = flow;
  return {
    service,
    version,
    protocol,
    kind,
    remoteAddress: formatAddress(remote.address),
    remotePort: remote.port,
    localPort,
    state,
    idleMs: Math.max(0, nowMs - lastSeenMs),
  };
}

/** The engine counts connections that it opened or accepted, rules those whose SYN-ACK they refused. */
export function toPeerCounters(
  tallied: readonly TalliedPeer[],
  stripped: readonly StrippedPeer[],
  nameOf: (tag: number) => string,
): readonly PeerCounter[] {
  const counters = tallied.map(({ peer, tag, version, verdict, packets, bytes, lastSeenMs }) => ({
    peerAddress: formatAddress(peer),
    service: nameOf(tag),
    version,
    verdict,
    packets,
    bytes,
    lastSeenMs,
  }));
  const ofRules = stripped.map(({ address, domain, packets, bytes, lastSeenMs }) => ({
    peerAddress: address,
    service: domain.service,
    version: domain.version,
    verdict: "option_stripped",
    packets,
    bytes,
    lastSeenMs,
  }));
  return [...counters, ...ofRules];
}
