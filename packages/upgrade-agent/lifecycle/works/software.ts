/** Stages `copying` to `starting`: the release into the domain, its install, its start, until it is healthy. */
import { AgentError } from "../../errors.ts";
import type { Manifest } from "../../release/contract.ts";
import type { Session } from "../../remote/index.ts";
import type { Upgrade } from "../machine.ts";
import { type Work, type WorkContext } from "./context.ts";
import { startService } from "../../service/control.ts";
import { bringSupervisor } from "../../service/program.ts";
import { withSession } from "./session.ts";
import { type HealthAnswer, untilHealthy } from "./health.ts";
import { appDirectory, type HookCall, hookEnvironment, mustRunHook, runHook } from "./hooks.ts";

export const copySoftware: Work = async (context, upgrade, signal) => {
  const { tarball } = await context.releases.metadata(upgrade.service, upgrade.version);
  await withSession(context, upgrade, signal, (session) => session.copyIn(tarball, appDirectory, { signal }));
};

/** The ports come first: no hook, and no health check, ever finds the service with ports that lead nowhere. */
export const configure: Work = async (context, upgrade, signal) => {
  const manifest = await manifestOf(context, upgrade);
  await context.router.registerPorts(upgrade, manifest.ports);
  const hook = manifest.hooks.install;
  const environment = hookEnvironment(context, manifest);
  await withSession(context, upgrade, signal, async (session) => {
    await bringSupervisor(session, signal);
    if (hook !== undefined)
      await mustRunHook(context, upgrade, session, { name: "install", hook, environment, signal });
  });
};

/** "It booted" is not enough: the release's own health check has to succeed several times in a row. */
export const startAndAwaitHealth: Work = async (context, upgrade, signal) => {
  const manifest = await manifestOf(context, upgrade);
  const environment = hookEnvironment(context, manifest);
  await withSession(context, upgrade, signal, async (session) => {
    await startService(session, { manifest, directory: appDirectory, environment, signal });
    await awaitHealth(context, manifest, session, signal);
  });
};

/** A service that has failed, by an operator's word; whether it is healthy shows by itself. */
export async function startAgain(context: WorkContext, upgrade: Upgrade, signal: AbortSignal): Promise<void> {
  const manifest = await manifestOf(context, upgrade);
  const environment = hookEnvironment(context, manifest);
  await withSession(context, upgrade, signal, (session) =>
    startService(session, { manifest, directory: appDirectory, environment, signal }),
  );
}

async function awaitHealth(
  context: WorkContext,
  manifest: Manifest,
  session: Session,
  signal: AbortSignal,
): Promise<void> {
  const environment = hookEnvironment(context, manifest);
  const { health: hook } = manifest.hooks;
  const check = (): Promise<HealthAnswer> =>
    checkHealth(session, { name: "health", hook, environment, signal });
  const last = await untilHealthy(manifest.health, check, (ms) => context.sleep(ms, signal));
  if (last === undefined) return;
  const { service, version, health } = manifest;
  const message = `${service} ${version} was not healthy within ${health.deadlineMs / 1000} s: ${last}`;
  throw new AgentError("E_HOOK_FAILED", message);
}

async function checkHealth(session: Session, call: HookCall): Promise<HealthAnswer> {
  try {
    const { exitCode, output } = await runHook(session, call);
    return { healthy: exitCode === 0, said: output.trim().slice(-300), spentMs: 0 };
  } catch (error) {
    if (!(error instanceof AgentError) || error.code !== "E_DEADLINE") throw error;
    return { healthy: false, said: error.message, spentMs: call.hook.timeoutMs };
  }
}

export async function manifestOf(
  context: WorkContext,
  upgrade: Pick<Upgrade, "service" | "version">,
): Promise<Manifest> {
  return (await context.releases.metadata(upgrade.service, upgrade.version)).statement.manifest;
}
