/**
 * Where the contenders stand. Each box a network namespace, each line a veth pair; `node` forwards:
 *
 *     client ── node ── version 1
 *                 └──── version 2          for direct connections and for everything that is a process on the node
 *
 *     client ── node ── version 1          for the version router's client path
 *
 * A domain hangs on its node whether Version Manager is there or not: so `direct` has the same hop as `kernel`.
 */
import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { within } from "../router/namespaces.ts";
import type { Namespaces } from "../router/namespaces.ts";
import { ip, untilListening } from "../router/path.ts";
import { plug, startDataPath } from "../router/version-router.ts";
import { HELPERS } from "./processors.ts";

export const SERVER_PORT = 8080;
const CLIENT_ADDRESS = "10.89.0.2";
export const NODE_ADDRESS = "10.89.0.1";
export const VERSION_ADDRESSES = ["10.89.1.2", "10.89.2.2"] as const;

export interface Machines {
  readonly client: string;
  readonly node: string;
}

export async function layPlain(namespaces: Namespaces): Promise<Machines> {
  const { client, node } = await layClient(namespaces, "plain");
  for (const [index, address] of VERSION_ADDRESSES.entries()) {
    const version = await add(namespaces, `plain-v${index + 1}`);
    const gateway = address.replace(/2$/, "1");
    await ip(node, `link add v${index + 1} type veth peer name eth0 netns ${version}`);
    await ip(node, `address add ${gateway}/24 dev v${index + 1}`);
    await ip(node, `link set v${index + 1} up`);
    await ip(version, `address add ${address}/24 dev eth0`);
    await ip(version, "link set eth0 up");
    await ip(version, `route add default via ${gateway}`);
    await startServer(namespaces, version);
  }
  await within(node, ["sysctl", "-qw", "net.ipv4.ip_forward=1"]);
  return { client, node };
}

export async function layKernel(namespaces: Namespaces): Promise<Machines> {
  const { client, node } = await layClient(namespaces, "kernel");
  const version = await add(namespaces, "kernel-v1");
  const link = await startDataPath(namespaces, node, {
    kind: "kernel",
    uplink: "uplink",
    serviceAddress: NODE_ADDRESS,
    pinDirectory: join(namespaces.bpffs, "node"),
    stateDirectory: namespaces.directory,
    peers: [NODE_ADDRESS],
    ports: { peer: [], client: [`tcp/${SERVER_PORT}`] },
  });
  await plug(node, version, link);
  await startServer(namespaces, version);
  return { client, node };
}

async function layClient(namespaces: Namespaces, name: string): Promise<Machines> {
  const client = await add(namespaces, `${name}-client`);
  const node = await add(namespaces, `${name}-node`);
  await ip(client, `link add eth0 type veth peer name uplink netns ${node}`);
  await ip(client, `address add ${CLIENT_ADDRESS}/24 dev eth0`);
  await ip(client, "link set eth0 up");
  await ip(node, `address add ${NODE_ADDRESS}/24 dev uplink`);
  await ip(node, "link set uplink up");
  await ip(client, `route add default via ${NODE_ADDRESS}`);
  return { client, node };
}

/** Thousands connect at once, and each connection of a client is one more of a proxy. */
const SETTINGS = [
  "net.core.somaxconn=16384",
  "net.ipv4.tcp_max_syn_backlog=16384",
  "net.ipv4.ip_local_port_range=10000 65000",
  // Ports of closed connections are free at once: else whoever is measured next has to look long for one that is.
  "net.ipv4.tcp_max_tw_buckets=0",
] as const;

async function add(namespaces: Namespaces, name: string): Promise<string> {
  const namespace = await namespaces.add(name);
  await within(namespace, ["sysctl", "-qw", ...SETTINGS]);
  return namespace;
}

/** nginx with an answer out of its configuration: no file, no log, nothing slower than what is measured. */
async function startServer(namespaces: Namespaces, namespace: string): Promise<void> {
  const home = join(namespaces.directory, namespace);
  mkdirSync(home);
  const file = join(home, "nginx.conf");
  const answer = "0123456789".repeat(6);
  writeFileSync(
    file,
    `daemon off;
user root;
pid ${home}/nginx.pid;
error_log /dev/null crit;
worker_processes 1;
events { worker_connections 16384; }
http {
  access_log off;
  keepalive_timeout 300s;
  keepalive_requests 1000000000;
  server { listen ${SERVER_PORT} backlog=16384; location / { return 200 "${answer}"; } }
}
`,
  );
  namespaces.spawn(namespace, [...HELPERS, "nginx", "-p", home, "-c", file, "-e", "/dev/null"]);
  await untilListening(namespace, "tcp", SERVER_PORT);
}
