/**
 * Stages `healthy`, `attached` and `caught-up`: putting the application proxy into the clients' path when a second
 * version is there, waiting until no client is connected to the old version past the proxy, and only then the new
 * version behind the proxy, so that from its first request on no write can miss it. Source: CMU-CS-05-190 §3.3; DESIGN §5.
 */
import { AgentError } from "../../errors.ts";
import type { Manifest } from "../../release/contract.ts";
import type { Upgrade } from "../machine.ts";
import { servesClients } from "../stages.ts";
import { type Work, type WorkContext } from "./context.ts";
import { linkOf, withSession } from "./session.ts";
import { hookEnvironment, runHook } from "./hooks.ts";
import { manifestOf } from "./software.ts";

/** Other versions of the service that answer clients on this node, oldest first. */
export function servingBeside(context: WorkContext, upgrade: Upgrade): Upgrade[] {
  return context.journal
    .upgrades()
    .filter((other) => other.service === upgrade.service && other.version !== upgrade.version)
    .filter((other) => servesClients(other.stage));
}

export const attachClients: Work = async (context, upgrade) => {
  const older = servingBeside(context, upgrade);
  if (older.length === 0) {
    await context.router.setClientPath(upgrade.service, { kind: "direct", version: upgrade.version });
    return;
  }
  const manifest = await manifestOf(context, upgrade);
  // Without a proxy clients stay with the old version until the new one has all its state.
  if (manifest.proxy === undefined) return;
  // The new version is not behind the proxy yet: what clients still write at the old one past the proxy, it would not
  // have, and clients of the proxy would read something older from it.
  await ensureProxy(context, manifest, older);
  await context.router.setClientPath(upgrade.service, { kind: "proxy" });
};

/** Starts, finds again or informs the proxy process of a service: exactly these versions are behind it. */
export async function ensureProxy(
  context: WorkContext,
  manifest: Manifest,
  versions: readonly Pick<Upgrade, "service" | "version">[],
): Promise<void> {
  const module = await context.releases.extractProxy(manifest.service, manifest.version);
  await context.proxies.ensure({
    service: manifest.service,
    modulePath: module,
    address: context.config.serviceAddress,
    listen: manifest.ports.client,
    versions: await Promise.all(versions.map((version) => proxiedVersion(context, version))),
  });
}

async function proxiedVersion(
  context: WorkContext,
  { service, version }: Pick<Upgrade, "service" | "version">,
) {
  const { ports } = await manifestOf(context, { service, version });
  const { managementAddress } = await linkOf(context, service, version);
  const endpoints = ports.client.map((port) => [port, `${managementAddress}:${port.split("/")[1]}`] as const);
  return { version, endpoints: Object.fromEntries(endpoints) };
}

/** How long proxied clients may take to reach a message boundary when the proxy leaves the path. */
const proxyDrainMs = 60_000;

/**
 * Clients of this version go to the others that serve; one alone gets them straight from the kernel. Does nothing when no
 * other serves.
 */
export async function leaveClientPath(context: WorkContext, upgrade: Upgrade): Promise<void> {
  const remaining = servingBeside(context, upgrade);
  const newest = remaining.at(-1);
  if (newest === undefined) return;
  if (!context.proxies.has(upgrade.service)) {
    await context.router.setClientPath(upgrade.service, { kind: "direct", version: newest.version });
    return;
  }
  const proxied = Math.max(upgrade.version, newest.version);
  await ensureProxy(context, await manifestOf(context, { ...upgrade, version: proxied }), remaining);
  if (remaining.length > 1) return;
  await context.router.setClientPath(upgrade.service, { kind: "direct", version: newest.version });
  await context.proxies.drainAndStop(upgrade.service, proxyDrainMs);
}

const drainPollMs = 100;
/** The drain hook is repeated, for connections that were accepted while it ran. */
const drainHookEveryMs = 5_000;

export const drainDirectConnections: Work = async (context, upgrade, signal) => {
  const manifest = await manifestOf(context, upgrade);
  const older = servingBeside(context, upgrade);
  if (manifest.proxy === undefined || older.length === 0) return;
  for (const old of older) await drainVersion(context, upgrade, old, signal);
  await ensureProxy(context, manifest, [...older, upgrade]);
};

async function drainVersion(
  context: WorkContext,
  upgrade: Upgrade,
  old: Upgrade,
  signal: AbortSignal,
): Promise<void> {
  const { drain, hooks } = await manifestOf(context, old);
  let waitedMs = 0;
  let open = (await context.router.directConnections(old)).open;
  for (; open > 0 && waitedMs < drain.timeoutMs; waitedMs += drainPollMs) {
    if (hooks.drain !== undefined && waitedMs % drainHookEveryMs === 0)
      await askToDrain(context, old, signal);
    await context.sleep(drainPollMs, signal);
    open = (await context.router.directConnections(old)).open;
  }
  if (open === 0) {
    context.note(upgrade, "agent", `direct connections to version ${old.version} have drained`);
    return;
  }
  if (drain.onTimeout === "fail") {
    const message = `${open} client connections to version ${old.version} did not end in ${drain.timeoutMs / 1000} s.`;
    throw new AgentError("E_DEADLINE", message);
  }
  const { reset } = await context.router.resetDirectConnections(old);
  context.note(
    upgrade,
    "agent",
    `${reset} client connections to version ${old.version} did not drain and were reset`,
  );
}

async function askToDrain(context: WorkContext, old: Upgrade, signal: AbortSignal): Promise<void> {
  const manifest = await manifestOf(context, old);
  const hook = manifest.hooks.drain;
  if (hook === undefined) return;
  const environment = hookEnvironment(context, manifest);
  const { exitCode, output } = await withSession(context, old, signal, (session) =>
    runHook(session, { name: "drain", hook, environment, signal }),
  );
  context.note(old, "hook drain", `exit status ${exitCode}\n${output}`);
}

/** With a proxy nothing is left to do; without one, this is the moment at which clients change over. */
export const finishSwitch: Work = async (context, upgrade) => {
  const manifest = await manifestOf(context, upgrade);
  if (manifest.proxy !== undefined || servingBeside(context, upgrade).length === 0) return;
  await context.router.setClientPath(upgrade.service, { kind: "direct", version: upgrade.version });
};
