/**
 * The process that runs a release's proxy module. Its only argument is a launch description (`launch.ts`).
 *
 * It depends on nobody's life: the listening sockets and the control socket are its own, its output goes where its
 * descriptors 1 and 2 lead. SIGTERM drains and exits 0; anything unexpected exits 1, and the supervisor starts anew.
 */
import { pathToFileURL } from "node:url";
import { ProxyError } from "../errors.ts";
import { toolkit, type ProxyFactory } from "../toolkit.ts";
import type { ProxyHandlers } from "../connection/contract.ts";
import { createControl, type ControlEvent } from "./control.ts";
import { parseEndpoint, parseLaunch, type Launch } from "./launch.ts";
import { ProxyServer } from "./proxy-server.ts";
import type { Endpoint } from "../connection/tcp.ts";
import { Watched } from "./watched.ts";

/** Milliseconds that clients have to reach a message boundary after SIGTERM. */
const TERM_DRAIN_MS = 10_000;

function log(line: string): void {
  process.stderr.write(`${new Date().toISOString()} ${process.pid} ${line}\n`);
}

/** The code of this process may lie where only root can read, and is all loaded by now; the module's is not. */
function dropPrivileges({ user }: Launch): void {
  if (user === undefined) return;
  process.setgroups?.([]);
  process.setgid?.(user.gid);
  process.setuid?.(user.uid);
  if (process.getuid?.() !== user.uid || process.geteuid?.() !== user.uid) {
    throw new ProxyError("E_LAUNCH", `The process could not become user ${user.uid}.`);
  }
}

async function loadHandlers(launch: Launch): Promise<ProxyHandlers> {
  let factory: unknown;
  try {
    const module = (await import(pathToFileURL(launch.module).href)) as { readonly default?: unknown };
    factory = module.default;
  } catch (error) {
    throw new ProxyError(
      "E_MODULE",
      `The proxy module ${launch.module} cannot be loaded: ${String(error)}`,
      error,
    );
  }
  if (typeof factory !== "function") {
    throw new ProxyError(
      "E_MODULE",
      `The proxy module ${launch.module} must export a function as its default.`,
    );
  }
  const context = { service: launch.service, log: (line: string) => log(`module: ${line}`) };
  const handlers = await (factory as ProxyFactory)(toolkit, context);
  if (typeof handlers?.handleRequest !== "function" || typeof handlers.handleReply !== "function") {
    throw new ProxyError(
      "E_MODULE",
      `The function of ${launch.module} must return handleRequest and handleReply.`,
    );
  }
  return handlers;
}

function about(launch: Launch, watched: Watched, startedAtMs: number): Record<string, unknown> {
  const { rss, heapUsed, external } = process.memoryUsage();
  const [perVersion, datagramDrops, quarantined] = [
    watched.counts(),
    watched.datagramDrops(),
    watched.quarantined(),
  ];
  return {
    service: launch.service,
    module: launch.module,
    pid: process.pid,
    uid: process.getuid?.(),
    startedAtMs,
    memory: { rssBytes: rss, heapUsedBytes: heapUsed, externalBytes: external },
    ...(perVersion === undefined ? {} : { perVersion }),
    ...(datagramDrops === undefined ? {} : { datagramDrops }),
    ...(quarantined === undefined ? {} : { quarantined }),
  };
}

function eventsOf(watched: Watched): readonly ControlEvent[] {
  return watched.events().map(({ atMs, ...event }) => ({
    ...event,
    at: new Date(performance.timeOrigin + atMs).toISOString(),
  }));
}

async function main(): Promise<void> {
  const launch = parseLaunch(process.argv[2] ?? "");
  dropPrivileges(launch);
  const handlers = await loadHandlers(launch);
  const { connectionsMax } = launch;
  const server = new ProxyServer({ handlers, ...(connectionsMax === undefined ? {} : { connectionsMax }) });
  await server.setVersions(launch.versions);
  const watched = new Watched(handlers);
  for (const version of launch.quarantined ?? []) watched.quarantine(version);
  const startedAtMs = Date.now();
  const control = createControl({
    server,
    about: () => about(launch, watched, startedAtMs),
    events: () => eventsOf(watched),
    onEvent: (told) => watched.onEvent(told),
    comparisons: () => watched.comparisons(),
    readmit: (version) => watched.readmit(version, performance.now()),
    exit: () => process.exit(0),
  });
  await new Promise<void>((resolve) => control.listen(launch.control, resolve));
  for (const entry of launch.listen) {
    await server.listen(
      entry.port,
      "fd" in entry ? { fd: entry.fd } : (parseEndpoint(entry.address) as Endpoint),
    );
  }
  let ending = false;
  process.on("SIGTERM", () => {
    if (ending) return;
    ending = true;
    log("SIGTERM: draining");
    void server.drain(TERM_DRAIN_MS).then(({ remaining }) => {
      log(`ended with ${remaining} connections left`);
      process.exit(0);
    });
  });
  log(`serving ${launch.listen.map(({ port }) => port).join(", ")} of ${launch.service}`);
}

function crash(error: unknown): void {
  log(`fatal: ${error instanceof Error ? (error.stack ?? error.message) : String(error)}`);
  process.exit(1);
}

process.on("uncaughtException", crash);
process.on("unhandledRejection", crash);
await main().catch(crash);
