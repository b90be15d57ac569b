/** The ways to carry packets between two domains that are compared. */
import type { Namespaces } from "./namespaces.ts";
import { within } from "./namespaces.ts";
import { connectDomains, DOMAIN_ADDRESSES, ip, layWire, NODE_ADDRESSES } from "./path.ts";
import type { Hops } from "./path.ts";
import { TCP_PORTS, UDP_PORTS } from "./ports.ts";
import { PROXY_ADDRESS, startHaproxy, startNginx } from "./proxies.ts";
import { startRouter } from "./version-router.ts";
import type { Contender } from "../harness/index.ts";

export interface Path extends Contender, Hops {
  /** What domain 1 connects to in order to reach domain 2. */
  readonly target: string;
  readonly carriesUdp: boolean;
}

type Build = (namespaces: Namespaces, hops: Hops) => Promise<Pick<Path, "target" | "carriesUdp">>;

/** In the order of the table. */
const BUILDS: Readonly<Record<string, Build>> = {
  routing: async (_, hops) => {
    await connectDomains(hops);
    await ip(hops.nodes[0], `route add ${DOMAIN_ADDRESSES[1]}/32 via ${NODE_ADDRESSES[1]}`);
    await ip(hops.nodes[1], `route add ${DOMAIN_ADDRESSES[0]}/32 via ${NODE_ADDRESSES[0]}`);
    return { target: DOMAIN_ADDRESSES[1], carriesUdp: true };
  },
  nat: async (_, hops) => {
    await connectDomains(hops);
    for (const [index, node] of hops.nodes.entries())
      await within(node, ["nft", "-f", "-"], { input: natRules(DOMAIN_ADDRESSES[index] ?? "") });
    return { target: NODE_ADDRESSES[1], carriesUdp: true };
  },
  router: async (namespaces, hops) => {
    await startRouter(namespaces, hops, "kernel");
    return { target: NODE_ADDRESSES[1], carriesUdp: true };
  },
  relay: async (namespaces, hops) => {
    await startRouter(namespaces, hops, "relay");
    return { target: NODE_ADDRESSES[1], carriesUdp: true };
  },
  nginx: async (namespaces, hops) => {
    await connectDomains(hops);
    await startNginx(namespaces, hops);
    return { target: PROXY_ADDRESS, carriesUdp: true };
  },
  haproxy: async (namespaces, hops) => {
    await connectDomains(hops);
    await startHaproxy(namespaces, hops);
    return { target: PROXY_ADDRESS, carriesUdp: false };
  },
};

export const CONTENDERS: readonly string[] = Object.keys(BUILDS);

export async function buildPath(namespaces: Namespaces, name: string): Promise<Path> {
  const hops = await layWire(namespaces, name);
  const facts = await BUILDS[name]?.(namespaces, hops);
  if (facts === undefined) throw new RangeError(`There is no contender ${name}.`);
  return { name, ...hops, ...facts };
}

/** What a container engine would set up: sources hidden, published ports led to the domain. */
function natRules(domain: string): string {
  return `
table ip nat {
  chain source {
    type nat hook postrouting priority srcnat;
    oifname "uplink" masquerade
  }
  chain destination {
    type nat hook prerouting priority dstnat;
    iifname "uplink" tcp dport { ${TCP_PORTS.join(", ")} } dnat to ${domain}
    iifname "uplink" udp dport { ${UDP_PORTS.join(", ")} } dnat to ${domain}
  }
}
`;
}
