/** What an operator should mend, by what was counted lately. Pure. */
import type { PeerCounter, RouterWarning } from "../control/contract.ts";

/** What has not happened for so long is taken for mended. */
const RECENT_MS = 600_000;
/** The latest ones; a fleet behind one bad path would say the same of each node. */
const WARNINGS_MAX = 32;

export function warningsOf(counters: readonly PeerCounter[], nowMs: number): readonly RouterWarning[] {
  return counters
    .filter(({ verdict, lastSeenMs }) => verdict === "option_stripped" && nowMs - lastSeenMs < RECENT_MS)
    .toSorted((a, b) => b.lastSeenMs - a.lastSeenMs)
    .slice(0, WARNINGS_MAX)
    .map(({ peerAddress, service, packets, lastSeenMs }) => ({
      code: "W_OPTION_STRIPPED",
      peerAddress,
      service,
      packets,
      lastSeenMs,
      message:
        `${packets} TCP connections of ${service || "a service"} with ${peerAddress} came without their mark and were ` +
        `refused. Let TCP option 253 through every firewall and middlebox on the path to ${peerAddress}, or set ` +
        `"dataPath": "relay" at both nodes; if vm-router is down there, start it.`,
    }));
}
