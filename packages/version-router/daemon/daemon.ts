/** The running daemon: puts the parts together around a data path, and takes them apart in order. */
import { RouterError } from "../errors.ts";
import type { DataPath } from "../datapath/datapath.ts";
import { GossipCore } from "../gossip/core.ts";
import { DEFAULT_GOSSIP_LIMITS } from "../gossip/limits.ts";
import { serviceTag } from "../mark/service-tag.ts";
import { formatMetrics } from "../metrics/prometheus.ts";
import { routerMetrics } from "../metrics/router-metrics.ts";
import { hostListeners } from "../ports/host-listeners.ts";
import type { RouterConfig } from "./config.ts";
import { controlRoutes } from "./control-routes.ts";
import { openExchangeSocket } from "./exchange-socket.ts";
import { gatewayRoutes } from "./gateway-routes.ts";
import { GossipDriver } from "./gossip-driver.ts";
import { createJsonServer } from "./json-server.ts";
import type { JsonServerOptions } from "./json-server.ts";
import { claimSocketPath, closeServer, listenUnix, listenWhenPossible } from "./listen.ts";
import { NewsFeed } from "./news-feed.ts";
import { Router } from "./router.ts";
import { StateFile } from "./state-file.ts";
import { TraceHub } from "./trace-hub.ts";

/** How often the data path is asked for marks: at most so late does a discovery become news. */
const POLL_MS = 250;
/** The body must hold the longest list of peers. */
const CONTROL_SERVER = { bodyBytesMax: 2_097_152, requestTimeoutMs: 30_000, connectionsMax: 64 };
/** A domain is not trusted: little memory, little time. */
const GATEWAY_SERVER = { bodyBytesMax: 4_096, requestTimeoutMs: 5_000, connectionsMax: 64 };

export interface DaemonParts {
  readonly config: RouterConfig;
  readonly dataPath: DataPath;
  /** Why it is this one. */
  readonly dataPathReason: string;
  /** Where domains find the gateway: 169.254.1.1 but in tests. */
  readonly gatewayAddress: string;
  readonly nowMs: () => number;
  readonly random: () => number;
  readonly log: (message: string) => void;
}

export interface RunningDaemon {
  /** Lets go of everything; packets keep flowing. */
  close(): Promise<void>;
}

/** Throws what the data path throws at `open`, E_BAD_REQUEST and E_PORT_TAKEN; then nothing is left open. */
export async function startDaemon(parts: DaemonParts): Promise<RunningDaemon> {
  const { config, dataPath } = parts;
  await claimSocketPath(config.socket);
  const closing = new AbortController();
  const onFault = (error: unknown) => parts.log(describeFault(error));
  const closers: (() => Promise<void>)[] = [];
  const close = async () => {
    closing.abort();
    for (const closer of closers.toReversed()) await closer().catch(onFault);
  };
  const core = makeCore(parts, onFault);
  try {
    await dataPath.open();
    closers.push(() => dataPath.close());
    await core.router.restore(await core.stateFile.load());
    closers.push(() => core.router.settle());
    closers.push(() => core.tracers.settle());
    const driver = await startGossip(parts, core, closers, onFault);
    await startServers(parts, core, driver, closers, { closing: closing.signal, onFault });
    return { close };
  } catch (error) {
    await close();
    throw error;
  }
}

interface Core {
  readonly gossip: GossipCore;
  readonly news: NewsFeed;
  readonly stateFile: StateFile;
  readonly router: Router;
  readonly tracers: TraceHub;
}

function makeCore(
  { config, dataPath, dataPathReason, nowMs }: DaemonParts,
  onFault: (error: unknown) => void,
): Core {
  const news = new NewsFeed();
  const limits = { ...DEFAULT_GOSSIP_LIMITS, exchangeMs: config.exchangeIntervalMs };
  const gossip = new GossipCore(config.serviceAddress, limits, nowMs());
  const stateFile = new StateFile(`${config.socket}.state.json`);
  const router = new Router({
    dataPath,
    gossip,
    news,
    nowMs,
    tagOf: serviceTag,
    hostListeners: (ports) => hostListeners(ports, addressesOf(config)),
    reservedPorts: reservedPorts(config),
    save: (state) => stateFile.save(state),
    identity: {
      dataPathReason,
      serviceAddress: config.serviceAddress,
      ...(config.serviceAddress6 === undefined ? {} : { serviceAddress6: config.serviceAddress6 }),
      uplink: config.uplink,
      pid: process.pid,
      startedAtMs: Date.now(),
    },
    configuredPeers: config.peers,
  });
  return { gossip, news, stateFile, router, tracers: new TraceHub(dataPath, onFault) };
}

function addressesOf({ serviceAddress, serviceAddress6 }: RouterConfig): readonly string[] {
  return serviceAddress6 === undefined ? [serviceAddress] : [serviceAddress, serviceAddress6];
}

/** Binds the exchange socket and begins to poll. */
async function startGossip(
  { config, dataPath, nowMs, random }: DaemonParts,
  { gossip, news, router }: Core,
  closers: (() => Promise<void>)[],
  onFault: (error: unknown) => void,
): Promise<GossipDriver> {
  const exchange = await openExchangeSocket(addressesOf(config), config.exchangePort);
  closers.push(() => exchange.close());
  const driver = new GossipDriver({
    dataPath,
    gossip,
    news,
    nowMs,
    random,
    onFault,
    send: (datagram, peerAddress) => exchange.send(datagram, peerAddress),
    save: () => router.save(),
  });
  exchange.onDatagram((datagram, peer) => void driver.receive(datagram, peer).catch(onFault));
  closers.push(pollUntilClosed(driver, onFault));
  return driver;
}

async function startServers(
  { config, gatewayAddress }: DaemonParts,
  { router, news, gossip, tracers }: Core,
  driver: GossipDriver,
  closers: (() => Promise<void>)[],
  options: Pick<JsonServerOptions, "closing" | "onFault">,
): Promise<void> {
  const gateway = createJsonServer(gatewayRoutes(router), { ...GATEWAY_SERVER, ...options });
  const address = { host: gatewayAddress, port: config.gatewayPort };
  const gatewayListening = listenWhenPossible(gateway, address, options.closing, options.onFault);
  closers.push(async () => {
    await gatewayListening;
    await closeServer(gateway);
  });
  const metrics = async () => {
    const status = await router.status();
    const figures = {
      status,
      peers: await router.peerCounters(),
      facts: gossip.counts(),
      exchange: driver.counts,
      listeners: news.size,
      tracers: tracers.size,
    };
    return formatMetrics(routerMetrics(figures));
  };
  const control = createJsonServer(controlRoutes({ router, news, tracers, metrics }), {
    ...CONTROL_SERVER,
    ...options,
  });
  await listenUnix(control, config.socket);
  closers.push(() => closeServer(control));
}

/** Ports that no service may register, and why. */
function reservedPorts({ gatewayPort, exchangePort }: RouterConfig): ReadonlyMap<number, string> {
  return new Map([
    [22, "SSH"],
    [4077, "registration port"],
    [4078, "mark exchange"],
    [4080, "agent API"],
    [4081, "BitTorrent port"],
    [gatewayPort, "registration port"],
    [exchangePort, "mark exchange"],
  ]);
}

/** Polls until the returned function is called, which resolves when the last poll is over. */
function pollUntilClosed(driver: GossipDriver, onFault: (error: unknown) => void): () => Promise<void> {
  let timer: NodeJS.Timeout | undefined;
  let closed = false;
  let running: Promise<void> = Promise.resolve();
  const poll = async () => {
    await driver.poll().catch(onFault);
    if (!closed) timer = setTimeout(next, POLL_MS);
  };
  const next = () => {
    running = poll();
  };
  next();
  return () => {
    closed = true;
    clearTimeout(timer);
    return running;
  };
}

function describeFault(error: unknown): string {
  if (!(error instanceof Error)) return String(error);
  const code = error instanceof RouterError ? `${error.code}: ` : "";
  const cause = error.cause instanceof Error ? ` (${error.cause.message})` : "";
  return `${code}${error.message}${cause}`;
}
