/**
 * The replicas of this version: a moleculer service on its TCP transporter. A write goes to every replica that
 * moleculer knows as live; a replica that joins pulls what it missed before it serves; every replica compares itself
 * with a random other one now and then.
 */
import { createRequire } from "node:module";
import { setTimeout as sleep } from "node:timers/promises";
import { Heard } from "./heard.js";
import { BUCKETS } from "./store.js";

// moleculer's ESM entry loads its dependencies a second time.
const { ServiceBroker } = createRequire(import.meta.url)("moleculer");

/** Together below the 10 s after which clients commonly give up; long, because an emulated machine may pause. */
const CALL_TIMEOUT_MS = 2500;
const ATTEMPTS = 3;
const ANTI_ENTROPY_MS = 2000;
/** Stays below moleculer's packet limit of 1 MiB with room for escapes. */
const PAGE_CHARACTERS = 128 * 1024;

/** A write is here but not at every live replica; the client may repeat it. */
class ReplicationError extends Error {
  code = "E_REPLICATION";
  status = 503;
}

const nodeIdOf = (address) => `kv-${address}`;

function brokerOptions({ address, tcpPort, udpPort, peers, release }, heard) {
  return {
    namespace: "kv",
    nodeID: nodeIdOf(address),
    metadata: { service: "kv", version: release.version, label: release.label },
    logger: { type: "Console", options: { level: "warn", colors: false } },
    transporter: {
      type: "TCP",
      options: {
        port: tcpPort,
        useHostname: false,
        urls: peers.map((peer) => `tcp://${peer.address}:${peer.port ?? tcpPort}/${nodeIdOf(peer.address)}`),
        // Discovery by unicast to the known peers: a domain has no multicast.
        udpMulticast: false,
        udpBroadcast: peers.map((peer) => peer.address),
        udpBindAddress: address,
        udpPort,
        udpPeriod: 2,
        gossipPeriod: 1,
      },
    },
    middlewares: [heard.middleware()],
    requestTimeout: CALL_TIMEOUT_MS,
    validator: false,
    skipProcessEventRegistration: true,
  };
}

export class Cluster {
  #store;
  #broker;
  #peers;
  #antiEntropy;
  heard = new Heard();

  constructor(store, config) {
    this.#store = store;
    this.#peers = config.peers.map((peer) => nodeIdOf(peer.address));
    this.#broker = new ServiceBroker(brokerOptions(config, this.heard));
    // What gossip tells others to connect to must be the service's address, whatever other interfaces exist.
    this.#broker.registry.nodes.localNode.ipList = [config.address];
    this.#broker.createService(this.#service());
  }

  get nodeID() {
    return this.#broker.nodeID;
  }

  get versions() {
    return { moleculer: this.#broker.MOLECULER_VERSION, protocol: this.#broker.PROTOCOL_VERSION };
  }

  #service() {
    const store = this.#store;
    return {
      name: "kv",
      actions: {
        replicate: (ctx) => ctx.params.items.filter((item) => store.merge(item)).length,
        sees: (ctx) => this.live().includes(ctx.params.nodeID),
        digests: () => store.digests(),
        page: (ctx) => store.page(ctx.params.bucket, ctx.params.after, PAGE_CHARACTERS),
      },
      events: {
        "$node.connected": (ctx) => this.heard.node(ctx.params.node),
        "$node.updated": (ctx) => this.heard.node(ctx.params.node),
      },
    };
  }

  /** Node ids of the replicas that moleculer knows as live. */
  live() {
    const endpoints = this.#broker.registry.getActionEndpoints("kv.replicate")?.endpoints ?? [];
    return endpoints.map((endpoint) => endpoint.id).filter((id) => id !== this.nodeID);
  }

  /** Starts, waits for the configured peers, and returns once everything they hold is here too. */
  async start({ peersWaitMs, joinMs }) {
    await this.#broker.start();
    const startedMs = performance.now();
    const waitedMs = () => performance.now() - startedMs;
    while (this.#peers.some((id) => !this.live().includes(id)) && waitedMs() < peersWaitMs) await sleep(100);
    const joins = this.live().map((id) => this.#join(id, () => waitedMs() < joinMs));
    await Promise.all(joins);
    this.#antiEntropy = setInterval(() => void this.#compareWithOne(), ANTI_ENTROPY_MS);
  }

  /** From the moment that the peer sees this node it sends its writes here; what came before is pulled. */
  async #join(id, inTime) {
    while (inTime() && this.live().includes(id)) {
      try {
        if (await this.#call(id, "sees", { nodeID: this.nodeID })) return await this.#pull(id);
      } catch (error) {
        console.warn(`joining ${id}: ${error.message}`);
      }
      await sleep(100);
    }
    console.warn(`went on without ${id}`);
  }

  async #compareWithOne() {
    const live = this.live();
    if (live.length === 0) return;
    try {
      await this.#pull(live[Math.floor(Math.random() * live.length)]);
    } catch (error) {
      console.warn(`anti-entropy: ${error.message}`);
    }
  }

  /** Fetches what differs at the peer. */
  async #pull(id) {
    const theirs = await this.#call(id, "digests", {});
    for (let bucket = 0; bucket < BUCKETS; bucket += 1) {
      if (theirs[bucket] === this.#store.digests()[bucket]) continue;
      let after;
      for (;;) {
        const page = await this.#call(id, "page", { bucket, after });
        if (page.length === 0) break;
        for (const item of page) this.#store.merge(item);
        after = page.at(-1).key;
      }
    }
  }

  /**
   * Resolves when every live replica holds the items, which must be in the local store already: so a replica that
   * joins meanwhile finds them there. Throws ReplicationError when a live replica does not answer.
   */
  async replicate(items) {
    await Promise.all(this.live().map((id) => this.#replicateTo(id, items)));
  }

  async #replicateTo(id, items) {
    for (let attempt = 1; this.live().includes(id); attempt += 1) {
      try {
        await this.#call(id, "replicate", { items });
        return;
      } catch (error) {
        if (attempt < ATTEMPTS) continue;
        // Dead meanwhile: it will pull what it missed when it joins again.
        if (!this.live().includes(id)) return;
        throw new ReplicationError(`replica ${id} does not answer: ${error.message}`);
      }
    }
  }

  #call(nodeID, action, params) {
    return this.#broker.call(`kv.${action}`, params, { nodeID, timeout: CALL_TIMEOUT_MS });
  }

  async stop() {
    clearInterval(this.#antiEntropy);
    await this.#broker.stop();
  }
}
