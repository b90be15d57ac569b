/** Stages `copying` to `starting`: the release into the domain, its install, its start, until it is healthy. */
import { AgentError } from "../../errors.ts";
import type { Manifest } from "../../release/contract.ts";
import type { Session } from "../../remote/index.ts";
import type { Upgrade } from "../machine.ts";
import { type Work, type WorkContext } from "./context.ts";
import { withSession } from "./session.ts";
import { appDirectory, appLog, hookEnvironment, mustRunHook, runHook } from "./hooks.ts";

export const copySoftware: Work = async (context, upgrade, signal) => {
  const { tarball } = await context.releases.metadata(upgrade.service, upgrade.version);
  await withSession(context, upgrade, signal, (session) => session.copyIn(tarball, appDirectory, { signal }));
};

export const configure: Work = async (context, upgrade, signal) => {
  const manifest = await manifestOf(context, upgrade);
  await context.router.registerPorts(upgrade, manifest.ports);
  const hook = manifest.hooks.install;
  if (hook === undefined) return;
  const environment = hookEnvironment(context, manifest);
  await withSession(context, upgrade, signal, (session) =>
    mustRunHook(context, upgrade, session, { name: "install", hook, environment, signal }),
  );
};

/** "It booted" is not enough: the release's own health check has to succeed several times in a row. */
export const startAndAwaitHealth: Work = async (context, upgrade, signal) => {
  const manifest = await manifestOf(context, upgrade);
  await withSession(context, upgrade, signal, async (session) => {
    await startService(context, manifest, session, signal);
    try {
      await awaitHealth(context, manifest, session, signal);
    } finally {
      const { output } = await session.exec(`tail -c 4000 ${appLog}`, { timeoutMs: 20_000, signal });
      context.note(upgrade, "app", output);
    }
  });
};

/**
 * Starts the service in a session of its own, so that it outlives the SSH session. A service that an earlier attempt
 * started is left alone.
 */
async function startService(
  context: WorkContext,
  manifest: Manifest,
  session: Session,
  signal: AbortSignal,
): Promise<void> {
  const quoted = manifest.hooks.start.command.replaceAll("'", `'\\''`);
  const command = [
    `cd ${appDirectory}`,
    `{ [ -f /run/app.pid ] && kill -0 "$(cat /run/app.pid)" 2>/dev/null && exit 0; true; }`,
    `{ setsid /bin/sh -c 'echo $$ >/run/app.pid; ${quoted}' >>${appLog} 2>&1 </dev/null & }`,
  ].join(" && ");
  const environment = hookEnvironment(context, manifest);
  const { exitCode, output } = await session.exec(command, {
    env: environment,
    timeoutMs: manifest.hooks.start.timeoutMs,
    signal,
  });
  if (exitCode !== 0)
    throw new AgentError("E_HOOK_FAILED", `The start hook ended with ${exitCode}: ${output}`);
}

async function awaitHealth(
  context: WorkContext,
  manifest: Manifest,
  session: Session,
  signal: AbortSignal,
): Promise<void> {
  const { intervalMs, successes, deadlineMs } = manifest.health;
  const environment = hookEnvironment(context, manifest);
  const call = { name: "health", hook: manifest.hooks.health, environment, signal };
  const attemptsMax = Math.ceil(deadlineMs / intervalMs);
  let inARow = 0;
  let last = "";
  for (let attempt = 0; attempt < attemptsMax; attempt += 1) {
    const { exitCode, output } = await runHook(session, call);
    inARow = exitCode === 0 ? inARow + 1 : 0;
    if (inARow >= successes) return;
    last = output.trim().slice(-300);
    await context.sleep(intervalMs, signal);
  }
  const message = `${manifest.service} ${manifest.version} was not healthy within ${deadlineMs / 1000} s: ${last}`;
  throw new AgentError("E_HOOK_FAILED", message);
}

export async function manifestOf(
  context: WorkContext,
  upgrade: Pick<Upgrade, "service" | "version">,
): Promise<Manifest> {
  return (await context.releases.metadata(upgrade.service, upgrade.version)).statement.manifest;
}
