/**
 * Starts one node of the service. Environment: VM_ADDRESS (this node's service address), VM_PEERS (the others',
 * `address` or `address:tcpPort`, separated by commas); for trials without domains also KV_DATA, KV_HTTP_HOST,
 * KV_HTTP_PORT, KV_TCP_PORT, KV_UDP_PORT, KV_HOST_ADDRESSES, KV_PEERS_WAIT_MS and KV_JOIN_MS.
 * SIGUSR2 drains clients' connections; SIGTERM stops.
 */
import { readFileSync } from "node:fs";
import { Cluster } from "./cluster.js";
import { HttpServer } from "./http.js";
import { ItemLog } from "./log.js";
import { Store } from "./store.js";

const { env } = process;
const list = (text) => text.split(",").filter((part) => part !== "");
const manifest = JSON.parse(readFileSync(new URL("version.json", import.meta.url), "utf8"));

const config = {
  release: { version: manifest.version, label: manifest.label },
  address: env.VM_ADDRESS ?? "127.0.0.1",
  tcpPort: Number(env.KV_TCP_PORT ?? 7000),
  udpPort: Number(env.KV_UDP_PORT ?? 7001),
  peers: list(env.VM_PEERS ?? "").map((peer) => {
    const [address, port] = peer.split(":");
    return { address, port };
  }),
  // A domain's host is its gateway; 127.0.0.1 is the domain itself.
  hostAddresses: list(env.KV_HOST_ADDRESSES ?? "169.254.1.1,127.0.0.1"),
};

const log = new ItemLog(env.KV_DATA ?? "/var/lib/kv");
let logged = false;
const store = new Store((item) => {
  if (logged) log.append(item, store);
});
for (const item of log.load()) store.merge(item);
log.open(store);
logged = true;

const cluster = new Cluster(store, config);
const http = new HttpServer(store, cluster, config);

let stopping = false;
async function stop() {
  if (stopping) return;
  stopping = true;
  await http.close();
  await cluster.stop();
  await log.close();
  process.exit(0);
}
process.on("SIGTERM", () => void stop());
process.on("SIGINT", () => void stop());
process.on("SIGUSR2", () => http.drain());

await http.listen(env.KV_HTTP_HOST ?? "0.0.0.0", Number(env.KV_HTTP_PORT ?? 80));
await cluster.start({
  peersWaitMs: Number(env.KV_PEERS_WAIT_MS ?? 5000),
  joinMs: Number(env.KV_JOIN_MS ?? 15_000),
});
http.ready = !stopping;
const readyMs = Math.round(performance.now());
console.log(
  `kv ${config.release.label} serves as ${cluster.nodeID} with ${store.size} items, ready after ${readyMs} ms`,
);
