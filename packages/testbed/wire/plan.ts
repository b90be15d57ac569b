/**
 * The network of a testbed as commands: one bridge in a namespace of its own, one shaped link per node and one for the
 * client. Every link is made inside its two namespaces at once, so nothing of it is ever in the host's. Pure.
 */
import type { Layout } from "../layout.ts";

/** A program and its arguments. */
export type Command = readonly [string, ...string[]];

/** Interface name of every node and of the client towards the bridge. */
export const UPLINK = "uplink";

const BRIDGE = "wire";

/**
 * Token bucket of `rateMbit`. The bucket holds one millisecond of the rate, at least two of the largest GSO packets
 * (a smaller bucket makes the kernel cut them up); a packet waits at most 50 ms before it is dropped.
 */
export function shaping(netns: string, device: string, rateMbit: number): Command {
  const burstBytes = Math.max(131_072, Math.ceil((rateMbit * 1e6) / 8 / 1000));
  const rate = ["rate", `${rateMbit}mbit`, "burst", String(burstBytes), "latency", "50ms"];
  return ["tc", "-n", netns, "qdisc", "replace", "dev", device, "root", "tbf", ...rate];
}

function namespace(netns: string): Command[] {
  return [
    ["ip", "netns", "add", netns],
    ["ip", "-n", netns, "link", "set", "lo", "up"],
  ];
}

/** Nobody else has the address: nothing waits until that is found out. */
function addressOf(netns: string, address: string): Command {
  const isIpv6 = address.includes(":");
  return ["ip", "-n", netns, "address", "add", address, "dev", UPLINK, ...(isIpv6 ? ["nodad"] : [])];
}

/** The interface towards the bridge, with its prefixes. */
function link(
  wire: string,
  netns: string,
  port: string,
  addresses: readonly string[],
  rateMbit: number,
): Command[] {
  const peer = ["peer", "name", UPLINK, "netns", netns];
  return [
    ["ip", "-n", wire, "link", "add", port, "type", "veth", ...peer],
    ["ip", "-n", wire, "link", "set", port, "master", BRIDGE, "addrgenmode", "none", "up"],
    ["ip", "-n", netns, "link", "set", UPLINK, "addrgenmode", "none"],
    ...addresses.map((address) => addressOf(netns, address)),
    ["ip", "-n", netns, "link", "set", UPLINK, "up"],
    shaping(wire, port, rateMbit),
    shaping(netns, UPLINK, rateMbit),
  ];
}

/** The bridge in its namespace. */
export function planWire(layout: Layout): Command[] {
  const bridge = ["type", "bridge", "forward_delay", "0", "stp_state", "0", "mcast_snooping", "0"];
  return [
    ...namespace(layout.wireNetns),
    ["ip", "-n", layout.wireNetns, "link", "add", BRIDGE, ...bridge],
    ["ip", "-n", layout.wireNetns, "link", "set", BRIDGE, "addrgenmode", "none", "up"],
  ];
}

function prefixes(address: string, address6: string, hasIpv6: boolean): readonly string[] {
  return hasIpv6 ? [`${address}/24`, `${address6}/64`] : [`${address}/24`];
}

/** Namespace and link of one node. */
export function planNode(
  layout: Layout,
  node: Layout["nodes"][number],
  rateMbit: number,
  hasIpv6 = false,
): Command[] {
  const addresses = prefixes(node.address, node.address6, hasIpv6);
  return [...namespace(node.netns), ...link(layout.wireNetns, node.netns, node.name, addresses, rateMbit)];
}

/** Namespace and link from which clients call. */
export function planClient(layout: Layout, rateMbit: number, hasIpv6 = false): Command[] {
  const addresses = prefixes(layout.clientAddress, layout.clientAddress6, hasIpv6);
  return [
    ...namespace(layout.clientNetns),
    ...link(layout.wireNetns, layout.clientNetns, "client", addresses, rateMbit),
  ];
}
