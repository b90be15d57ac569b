/** The files of a node: its private directories, the configuration of its services, and what its init is to do. */
import { mkdir, writeFile } from "node:fs/promises";
import { delimiter, dirname, join } from "node:path";
import { isUnified } from "../cgroups.ts";
import { PRIVATE_DIRECTORIES } from "../layout.ts";
import type { Layout, NodeLayout } from "../layout.ts";
import { LIBVIRT_SOCKET, writeLibvirtHome } from "../libvirt/index.ts";
import { PROGRAMS } from "../options.ts";
import type { Plan } from "../options.ts";
import type { InitConfig, ServiceConfig } from "./contract.ts";
import { libvirtdUnderXen, runsUnderXen } from "./xen.ts";

/** Root below which libvirt's findings about QEMU are kept between testbeds, laid out as on a machine. */
export const CAPABILITIES_ROOT = "/var/cache/version-manager/libvirt";

const LOG_DIRECTORY = "/var/log/version-manager";

const SYSTEM_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/** Commands of the product and the Node that the testbed was started with come before the machine's own. */
export function searchPath(layout: Layout): string {
  return [join(layout.directory, "bin"), dirname(process.execPath), SYSTEM_PATH].join(delimiter);
}

/** Small scripts, because what was built need not be executable nor start with the right Node. */
export async function writePrograms(layout: Layout): Promise<void> {
  const directory = join(layout.directory, "bin");
  await mkdir(directory, { recursive: true });
  for (const [name, path] of Object.entries(PROGRAMS)) {
    const script = `#!/bin/sh\nexec '${process.execPath}' '${path}' "$@"\n`;
    await writeFile(join(directory, name), script, { mode: 0o755 });
  }
}

/** Sockets by which the services of a node show that they are ready. */
const READY_SOCKETS = {
  libvirtd: LIBVIRT_SOCKET,
  router: "/run/version-manager/router.sock",
  agent: "/run/version-manager/agent.sock",
} as const;

/** A service that a test replaced has no known socket: it is ready when it has run a moment. */
function servicesOf(plan: Plan): ServiceConfig[] {
  const services: ServiceConfig[] = [];
  for (const name of ["libvirtd", "router", "agent"] as const) {
    const given = plan.commands[name];
    if (given === undefined) continue;
    const command = name === "libvirtd" ? libvirtdUnderXen(given) : given;
    const replaced = plan.options.commands?.[name] !== undefined;
    services.push({ name, command: [...command], ...(replaced ? {} : { readySocket: READY_SOCKETS[name] }) });
  }
  return services;
}

function hostsFile(layout: Layout, node: NodeLayout): string {
  const peers = layout.nodes.map(({ address, name }) => `${address} ${name}`);
  return [
    "127.0.0.1 localhost",
    "::1 localhost",
    ...peers,
    `${layout.clientAddress} client`,
    `# of ${node.name}`,
    "",
  ].join("\n");
}

async function writeJson(path: string, value: unknown): Promise<void> {
  await writeFile(path, `${JSON.stringify(value, undefined, 2)}\n`);
}

/** Makes the mount points on the host (empty directories, shared by all testbeds) and the node's own directories. */
async function makeDirectories(node: NodeLayout): Promise<void> {
  for (const path of PRIVATE_DIRECTORIES) {
    await mkdir(path, { recursive: true });
    await mkdir(join(node.directory, path), { recursive: true });
  }
}

async function writeConfiguration(plan: Plan, node: NodeLayout): Promise<void> {
  const { layout, options } = plan;
  const etc = join(node.directory, "etc/version-manager");
  const peers = layout.nodes.filter((peer) => peer.name !== node.name).map((peer) => peer.address);
  await writeJson(join(etc, "router.json"), {
    uplink: "uplink",
    serviceAddress: node.address,
    ...(plan.ipv6 ? { serviceAddress6: node.address6 } : {}),
    peers,
    ...options.routerConfig,
  });
  await writeJson(join(etc, "agent.json"), {
    node: node.name,
    serviceAddress: node.address,
    peers,
    hypervisor: plan.hypervisor,
    // xenconsoled writes the consoles' logs, and sees the machine's directories, not the node's.
    ...(runsUnderXen() ? { logDirectory: join(node.directory, LOG_DIRECTORY) } : {}),
    ...options.agentConfig,
  });
  await mkdir(join(etc, "trust"));
  for (const [index, pem] of (options.trustedKeys ?? []).entries()) {
    await writeFile(join(etc, "trust", `fleet-${index + 1}.pub`), pem);
  }
  if (options.fleetKey !== undefined && node === layout.nodes[0]) {
    await writeFile(join(etc, "fleet.key"), options.fleetKey, { mode: 0o600 });
  }
}

export async function writeNode(plan: Plan, node: NodeLayout): Promise<void> {
  await makeDirectories(node);
  await writeConfiguration(plan, node);
  if (plan.commands.libvirtd !== undefined) await writeLibvirtHome(node.directory, CAPABILITIES_ROOT);
  const hosts = join(node.directory, "hosts");
  await writeFile(hosts, hostsFile(plan.layout, node));
  await writeJson(node.initFile, {
    node: node.name,
    directory: node.directory,
    privateDirectories: [...PRIVATE_DIRECTORIES],
    controlSocket: node.controlSocket,
    unifiedControlGroups: await isUnified(),
    underXen: runsUnderXen(),
    logDirectory: LOG_DIRECTORY,
    hosts,
    path: searchPath(plan.layout),
    services: servicesOf(plan),
  } satisfies InitConfig);
}
