/** Our own contenders: a real data path on each node, and domains as containers would be. */
import { mkdirSync } from "node:fs";
import { join } from "node:path";
import type { DomainLink } from "@version-manager/version-router";
import type { NodeConfig } from "./data-path-process.ts";
import { ip, NODE_ADDRESSES } from "./path.ts";
import type { Hops } from "./path.ts";
import { within } from "./namespaces.ts";
import type { Namespaces } from "./namespaces.ts";
import { TCP_PORTS, UDP_PORTS } from "./ports.ts";

const PROCESS = join(import.meta.dirname, "data-path-process.js");
const READY_MS = 30_000;

export async function startRouter(
  namespaces: Namespaces,
  { nodes, domains }: Hops,
  kind: NodeConfig["kind"],
): Promise<void> {
  const peer = [
    ...TCP_PORTS.map((port) => `tcp/${port}` as const),
    ...UDP_PORTS.map((port) => `udp/${port}` as const),
  ];
  const starts = nodes.map(async (node, index) => {
    const config: NodeConfig = {
      kind,
      uplink: "uplink",
      serviceAddress: NODE_ADDRESSES[index] ?? "",
      peers: NODE_ADDRESSES,
      pinDirectory: join(namespaces.bpffs, `node${index}`),
      stateDirectory: join(namespaces.directory, `relay${index}`),
      ports: { peer, client: [] },
    };
    mkdirSync(config.stateDirectory, { recursive: true });
    const link = await startDataPath(namespaces, node, config);
    await plug(node, domains[index] ?? "", link);
  });
  await Promise.all(starts);
}

/** Resolves with the domain's link when the data path is set up; it goes with the namespaces. */
export function startDataPath(namespaces: Namespaces, node: string, config: NodeConfig): Promise<DomainLink> {
  const command = [process.execPath, PROCESS, JSON.stringify(config)];
  const child = namespaces.spawn(node, command, ["ignore", "inherit", "inherit", "ipc"]);
  return new Promise((resolve, reject) => {
    const fail = (why: string): void => reject(new Error(`The ${config.kind} data path ${why}.`));
    const timer = setTimeout(() => fail(`was not ready after ${READY_MS / 1000} s`), READY_MS);
    child.once("message", (link: DomainLink) => {
      clearTimeout(timer);
      resolve(link);
    });
    child.once("exit", () => {
      clearTimeout(timer);
      fail("ended early; its words are above");
    });
  });
}

/** The guest's end into the domain, which bears the node's own address. */
export async function plug(node: string, domain: string, link: DomainLink): Promise<void> {
  await ip(node, `link set ${link.guestInterfaceName} netns ${domain} name eth0`);
  await ip(domain, `address add ${link.address}/32 dev eth0`);
  await ip(domain, "link set eth0 up");
  await ip(domain, `route add ${link.gateway} dev eth0 scope link`);
  await ip(domain, `route add default via ${link.gateway}`);
  const range = `net.ipv4.ip_local_port_range=${link.ephemeralPorts.join(" ")}`;
  await within(domain, ["sysctl", "-qw", range]);
}
