/** What verdicts mean to a person: whether the packet went on, and why. The full table is in docs/WIRE.md. */

export interface VerdictMeaning {
  readonly outcome: "passed" | "refused";
  readonly reason: string;
}

const PASSED: Readonly<Record<string, string>> = {
  marked: "given its version's mark and sent to the peer",
  delivered: "its mark names this domain's version",
  peer_tcp_out: "belongs to a connection that was opened with a mark",
  peer_tcp_in: "belongs to a connection that was opened with a mark",
  client_in: "a client's, led to the version that serves clients",
  client_out: "answers a client",
  icmp_error: "an ICMP error about this domain's traffic",
  translated: "no registered port: translated to the node's address",
  to_host: "from the domain to its gateway",
};

const REFUSED: Readonly<Record<string, string>> = {
  spoofed: "claims another source, or brings a mark of its own",
  private_address: "an address that exists only inside a node",
  malformed: "its headers contradict its length or each other",
  fragment: "a fragment says no version",
  ipv6: "IPv6 on a node that has no IPv6 address",
  extension_header: "behind an extension header of IPv6 nothing is decided",
  other_protocol: "neither IP nor ARP",
  offloaded: "many datagrams in one: the mark has one place",
  too_big: "with its mark it exceeds the uplink's MTU",
  no_room: "no room for the mark among the SYN's options, or data in the SYN",
  tuple_in_use: "another version's connection has these addresses and ports",
  no_flow: "no such connection was opened with a mark",
  unmanaged: "the peer is not known to run Version Manager",
  unmarked: "a peer port, and no mark",
  option_stripped: "the peer marks, but the mark is gone: something on the way removes TCP options",
  unknown_version: "no domain of this version is on this node",
  wrong_version: "the peer answers for another version or service",
  port_not_registered: "this version has not registered the port",
  reset: "the connection was refused or reset before",
  too_many: "the relay has as many connections as it takes",
  rate_exceeded: "more than the domain may send or receive",
  kernel_error: "the kernel could not change or send it",
};

/** Names of all verdicts that any data path counts. */
export const VERDICT_NAMES: readonly string[] = [...Object.keys(PASSED), ...Object.keys(REFUSED)];

/** A verdict of a newer data path counts as refused. */
export function meaningOf(verdict: string): VerdictMeaning {
  const passed = PASSED[verdict];
  if (passed !== undefined) return { outcome: "passed", reason: passed };
  return { outcome: "refused", reason: REFUSED[verdict] ?? "see docs/WIRE.md" };
}
