/**
 * nginx and haproxy as relays: domain 1 speaks to the proxy of its node, which speaks to the other node's proxy,
 * which speaks to domain 2. No logs, as many processes or threads as processors.
 */
import { mkdirSync, writeFileSync } from "node:fs";
import { availableParallelism } from "node:os";
import { join } from "node:path";
import type { Namespaces } from "./namespaces.ts";
import { DOMAIN_ADDRESSES, NODE_ADDRESSES, untilListening } from "./path.ts";
import type { Hops } from "./path.ts";
import { HTTP, TCP_PORTS, UDP_PORTS } from "./ports.ts";

/** Where domain 1 finds the proxy of its node. */
export const PROXY_ADDRESS = "10.88.1.1";

/** Where each node's proxy listens, and where it leads. */
const LEGS = [
  { from: PROXY_ADDRESS, to: NODE_ADDRESSES[1] },
  { from: NODE_ADDRESSES[1], to: DOMAIN_ADDRESSES[1] },
] as const;

export async function startNginx(namespaces: Namespaces, { nodes }: Hops): Promise<void> {
  for (const [index, { from, to }] of LEGS.entries()) {
    const servers = [
      ...TCP_PORTS.map(
        (port) =>
          `server { listen ${from}:${port} reuseport backlog=4096; proxy_pass ${to}:${port}; tcp_nodelay on; }`,
      ),
      ...UDP_PORTS.map(
        (port) => `server { listen ${from}:${port} udp reuseport; proxy_pass ${to}:${port}; }`,
      ),
    ];
    const configuration = `
load_module /usr/lib/nginx/modules/ngx_stream_module.so;
worker_processes ${availableParallelism()};
worker_rlimit_nofile 16384;
events { worker_connections 8192; }
stream {
  proxy_timeout 60s;
  ${servers.join("\n  ")}
}
`;
    const node = nodes[index] ?? "";
    startNginxWith(namespaces, node, `stream${index}`, configuration);
    await untilListening(node, "tcp", HTTP);
  }
}

export async function startHaproxy(namespaces: Namespaces, { nodes }: Hops): Promise<void> {
  for (const [index, { from, to }] of LEGS.entries()) {
    const listeners = TCP_PORTS.map(
      (port) => `listen p${port}\n  bind ${from}:${port} backlog 4096\n  server s ${to}:${port}\n`,
    );
    const configuration = `
global
  nbthread ${availableParallelism()}
  maxconn 4096
defaults
  mode tcp
  option splice-auto
  timeout connect 5s
  timeout client 60s
  timeout server 60s
${listeners.join("")}`;
    const file = join(namespaces.directory, `haproxy${index}.cfg`);
    writeFileSync(file, configuration);
    const node = nodes[index] ?? "";
    namespaces.spawn(node, ["haproxy", "-db", "-q", "-f", file]);
    await untilListening(node, "tcp", HTTP);
  }
}

/** The web server in domain 2 that the probe of connections asks; it closes after each answer. */
export async function startWebServer(namespaces: Namespaces, domain: string): Promise<void> {
  const configuration = `
worker_processes 1;
events { worker_connections 8192; }
http {
  access_log off;
  keepalive_timeout 0;
  server { listen ${HTTP} backlog=4096; location / { return 200 "ok"; } }
}
`;
  startNginxWith(namespaces, domain, domain, configuration);
  await untilListening(domain, "tcp", HTTP);
}

function startNginxWith(
  namespaces: Namespaces,
  namespace: string,
  name: string,
  configuration: string,
): void {
  const home = join(namespaces.directory, name);
  mkdirSync(home);
  const file = join(home, "nginx.conf");
  writeFileSync(
    file,
    `daemon off;\nuser root;\npid ${home}/nginx.pid;\nerror_log /dev/null crit;\n${configuration}`,
  );
  namespaces.spawn(namespace, ["nginx", "-p", home, "-c", file, "-e", "/dev/null"]);
}
