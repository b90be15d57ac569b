/**
 * The path that every contender has for itself, each box a network namespace, each line a veth pair:
 *
 *     domain 1 ── node 1 ── wire (bridge) ── node 2 ── domain 2
 *
 * Contenders differ only in what the nodes do, and in the addresses that this asks for.
 */
import { setTimeout as sleep } from "node:timers/promises";
import { within } from "./namespaces.ts";
import type { Namespaces } from "./namespaces.ts";

/** The namespaces of one path, by role. */
export interface Hops {
  readonly domains: readonly [string, string];
  readonly nodes: readonly [string, string];
}

export const NODE_ADDRESSES = ["10.88.0.1", "10.88.0.2"] as const;
/** Of domains that have an address of their own. */
export const DOMAIN_ADDRESSES = ["10.88.1.2", "10.88.2.2"] as const;
const DOMAIN_GATEWAYS = ["10.88.1.1", "10.88.2.1"] as const;

/** Nodes on a wire, with addresses; domains still unconnected. */
export async function layWire(namespaces: Namespaces, contender: string): Promise<Hops> {
  const add = (role: string): Promise<string> => namespaces.add(`${contender}-${role}`);
  const wire = await add("wire");
  const hops: Hops = {
    domains: [await add("d1"), await add("d2")],
    nodes: [await add("n1"), await add("n2")],
  };
  await ip(wire, "link add bridge type bridge stp_state 0");
  await ip(wire, "link set bridge up");
  for (const [index, node] of hops.nodes.entries()) {
    await ip(wire, `link add n${index} type veth peer name uplink netns ${node}`);
    await ip(wire, `link set n${index} master bridge up`);
    await ip(node, `address add ${NODE_ADDRESSES[index]}/24 dev uplink`);
    await ip(node, "link set uplink up");
  }
  return hops;
}

/** Gives each domain a veth pair to its node and an address of its own; nodes forward. */
export async function connectDomains({ domains, nodes }: Hops): Promise<void> {
  for (const [index, node] of nodes.entries()) {
    const domain = domains[index] ?? "";
    const gateway = DOMAIN_GATEWAYS[index];
    await ip(node, `link add domain type veth peer name eth0 netns ${domain}`);
    await ip(node, `address add ${gateway}/24 dev domain`);
    await ip(node, "link set domain up");
    await ip(domain, `address add ${DOMAIN_ADDRESSES[index]}/24 dev eth0`);
    await ip(domain, "link set eth0 up");
    await ip(domain, `route add default via ${gateway}`);
    await within(node, ["sysctl", "-qw", "net.ipv4.ip_forward=1"]);
  }
}

/** `ip` in a namespace, words by spaces. */
export async function ip(namespace: string, words: string): Promise<void> {
  await within(namespace, ["ip", ...words.split(" ")]);
}

/** Waits until a process in the namespace listens there. Throws after five seconds. */
export async function untilListening(
  namespace: string,
  protocol: "tcp" | "udp",
  port: number,
): Promise<void> {
  const words = ["ss", "--no-header", "--listening", "--numeric", `--${protocol}`, `sport = :${port}`];
  for (let attempt = 0; attempt < 100; attempt += 1) {
    if ((await within(namespace, words)).trim() !== "") return;
    await sleep(50);
  }
  throw new Error(`nothing listens on ${protocol}/${port} in ${namespace}`);
}
