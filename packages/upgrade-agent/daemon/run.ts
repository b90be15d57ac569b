/** Composition root of the agent's process: the real parts, the two servers, and an orderly end. */
import { chmod, mkdir, rm } from "node:fs/promises";
import type { Server } from "node:http";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { RouterClient } from "@version-manager/version-router";
import { AgentClient } from "../api/client.ts";
import { createJsonServer } from "../api/http.ts";
import { createRateLimit } from "../api/rate-limit.ts";
import { localRoutes, peerRoutes } from "../api/routes.ts";
import type { Hypervisor } from "../domain/hypervisor.ts";
import { createSpares, openHypervisor, probeHypervisor } from "../domain/index.ts";
import { AgentError } from "../errors.ts";
import { createPeerMetadata } from "../fleet/peer-metadata.ts";
import { createImageStore } from "../image/index.ts";
import { Journal } from "../journal/journal.ts";
import { createProxySupervisor } from "../proxy/index.ts";
import { createReleaseStore } from "../release/index.ts";
import { createSwarm } from "../swarm/index.ts";
import { createVerifier, loadTrustedKeys } from "../trust/index.ts";
import { Agent } from "./agent.ts";
import type { AgentConfig } from "./config.ts";
import { keepImages } from "./image-keeper.ts";
import { shapesInUse } from "./spare-shapes.ts";

const localLimits = { bodyBytesMax: 1024 * 1024, timeoutMs: 600_000 };
const peerLimits = { bodyBytesMax: 128 * 1024, timeoutMs: 10_000 };
/** A call of the life cycle outlasts a router that is restarted or replaced, ms: its versions must not fail for that. */
const routerPatienceMs = 30_000;
const peerRate = { perSecond: 20, burst: 60, callersMax: 4_096 };

/** Runs until the signal aborts. Throws E_NOT_ROOT, E_NO_KEY, E_NO_LIBVIRT, E_NO_HYPERVISOR, E_PORT_TAKEN. */
export async function runAgent(
  config: AgentConfig,
  signal: AbortSignal,
  log: (line: string) => void,
): Promise<void> {
  if (process.getuid?.() !== 0)
    throw new AgentError("E_NOT_ROOT", "The agent makes domains; run it as root.");
  for (const directory of [config.stateDirectory, config.runDirectory, config.logDirectory]) {
    await mkdir(directory, { recursive: true });
  }
  const socketPath = join(config.runDirectory, "agent.sock");
  await refuseSecondAgent(socketPath);
  const journal = new Journal(join(config.stateDirectory, "journal.db"));
  const routerSocket = join(config.runDirectory, "router.sock");
  const hypervisor = await chooseHypervisor(config, log);
  const swarm = await createSwarm({ host: config.serviceAddress, port: config.swarmPort });
  const images = createImageStore(config);
  const releases = createReleaseStore({ directory: join(config.stateDirectory, "releases") });
  const { spareMiB: budgetMiB, spareQuietMs: quietMs } = config;
  const spares = createSpares({ hypervisor, images, budgetMiB, quietMs, log });
  const agent = new Agent({
    context: {
      config,
      journal,
      router: new RouterClient(routerSocket, { patienceMs: routerPatienceMs }),
      hypervisor,
      spares,
      swarm,
      images,
      releases,
      proxies: createProxySupervisor({
        runDirectory: config.runDirectory,
        logDirectory: config.logDirectory,
      }),
      verifier: createVerifier(await loadTrustedKeys(config.trustDirectory)),
      peers: createPeerMetadata(config.peerApiPort),
      sleep: async (ms, abort) => await sleep(ms, undefined, { signal: abort }),
    },
    router: new RouterClient(routerSocket),
    now: Date.now,
    random: Math.random,
    pid: process.pid,
    log,
  });
  const limit = createRateLimit(peerRate);
  const local = createJsonServer(localRoutes(agent), localLimits);
  const peer = createJsonServer(
    peerRoutes(agent, (caller) => limit(caller, Date.now())),
    peerLimits,
  );
  try {
    await listen(peer, { host: config.serviceAddress, port: config.peerApiPort });
    await spares.open(await shapesInUse(journal, releases));
    await agent.start();
    await listen(local, { path: socketPath });
    await chmod(socketPath, 0o660);
    log(`ready on ${socketPath}`);
    void keepImages({ images, config, log }, signal);
    await aborted(signal);
  } finally {
    local.close();
    peer.close();
    await agent.stop();
    await spares.close();
    await swarm.close();
    await hypervisor.close();
    journal.close();
  }
}

/** The wanted one, or the best that works here. */
async function chooseHypervisor(config: AgentConfig, log: (line: string) => void): Promise<Hypervisor> {
  const { hypervisor: prefer, libvirtSocket: socket, stateDirectory: cacheDirectory } = config;
  const { kind, reason } = await probeHypervisor({ prefer, socket, cacheDirectory });
  log(`hypervisor ${kind}: ${reason}`);
  return openHypervisor({ kind, socket, xenGuest: config.xenGuest });
}

/** A socket that nobody answers on is what a killed agent left. */
async function refuseSecondAgent(socketPath: string): Promise<void> {
  const answering = await new AgentClient(socketPath).status().then(
    () => true,
    (error: unknown) => !(error instanceof AgentError && error.code === "E_NO_AGENT"),
  );
  if (answering) throw new AgentError("E_AGENT_BUSY", `Another agent answers on ${socketPath}.`);
  await rm(socketPath, { force: true });
}

function listen(server: Server, where: { host: string; port: number } | { path: string }): Promise<void> {
  return new Promise((resolve, reject) => {
    server.once("error", (error: NodeJS.ErrnoException) => {
      const place = "path" in where ? where.path : `${where.host}:${where.port}`;
      const code = error.code === "EADDRINUSE" ? "E_PORT_TAKEN" : "E_INTERNAL";
      reject(new AgentError(code, `Cannot listen on ${place}: ${error.message}.`, error));
    });
    server.listen(where, () => resolve());
  });
}

function aborted(signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    if (signal.aborted) resolve();
    else signal.addEventListener("abort", () => resolve(), { once: true });
  });
}
