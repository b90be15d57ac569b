/** Stage `draining`, and what a version leaves behind when it is retired or has failed. */
import { AgentError } from "../../errors.ts";
import type { Session } from "../../remote/index.ts";
import { stopService } from "../../service/control.ts";
import type { Upgrade } from "../machine.ts";
import { leaveClientPath, servingBeside } from "./clients.ts";
import { domainName, type Work, type WorkContext } from "./context.ts";
import { withSession } from "./session.ts";
import { manifestOf } from "./software.ts";

/** Clients leave the version first; only then does it end, and its ports with it. */
export const retire: Work = async (context, upgrade, signal) => {
  if (servingBeside(context, upgrade).length === 0) {
    const message = `${upgrade.service} ${upgrade.version} is the only version that serves clients on this node.`;
    throw new AgentError("E_RETIRE_TOO_EARLY", message);
  }
  await leaveClientPath(context, upgrade);
  await endService(context, upgrade, signal, sessionDeadlineMs);
  await awaitLastWords(context, upgrade, signal);
  await takePortsBack(context, upgrade);
};

/** For a domain that is booted and has nothing else to do, ms; emulated ones on a busy host take their time. */
const sessionDeadlineMs = 60_000;
/** For one that is thrown away, and may be why: it is not waited for any longer. */
const failedSessionDeadlineMs = 10_000;

/** By its stop hook or SIGTERM; a service that cannot be stopped ends with its domain. */
async function endService(
  context: WorkContext,
  upgrade: Upgrade,
  signal: AbortSignal,
  deadlineMs: number,
): Promise<void> {
  if ((await context.hypervisor.state(domainName(context.config, upgrade))) !== "running") return;
  try {
    const manifest = await manifestOf(context, upgrade);
    const stop = (session: Session) => stopService(session, manifest, signal);
    await withSession(context, upgrade, signal, stop, deadlineMs);
  } catch (error) {
    signal.throwIfAborted();
    context.note(upgrade, "agent", `stop: ${(error as Error).message}`);
  }
}

/** How long the journal waits for what a service that was stopped said, ms, and how often it is looked for. */
const lastWordsMs = 5_000;
const lookEveryMs = 100;

/** Once the domain is gone, nobody can read any more how its service ended. */
async function awaitLastWords(context: WorkContext, upgrade: Upgrade, signal: AbortSignal): Promise<void> {
  for (let waitedMs = 0; waitedMs < lastWordsMs; waitedMs += lookEveryMs) {
    const { state } = context.journal.said.serviceEntry(upgrade.service, upgrade.version);
    if (state === undefined || !["running", "restarting"].includes(state.state)) return;
    await context.sleep(lookEveryMs, signal);
  }
}

/** Those that the service registered from inside, too. */
async function takePortsBack(context: WorkContext, upgrade: Upgrade): Promise<void> {
  const { domains } = await context.router.status();
  const domain = domains.find(
    ({ service, version }) => service === upgrade.service && version === upgrade.version,
  );
  if (domain !== undefined) await context.router.unregisterPorts(upgrade, domain.ports);
}

/** For the domain to end by itself, after its service has: file systems are unmounted, ms. */
const shutdownDeadlineMs = 15_000;

/**
 * Ends the domain in order, then removes it, its link and disk. Idempotent. A failed version's release stays, for
 * inspection and another try; a retired one's goes too.
 */
export async function cleanUp(context: WorkContext, upgrade: Upgrade): Promise<void> {
  const name = domainName(context.config, upgrade);
  if (upgrade.stage === "failed") {
    await leaveClientPath(context, upgrade);
    await endService(context, upgrade, new AbortController().signal, failedSessionDeadlineMs);
  }
  if (!(await context.hypervisor.shutdown(name, { deadlineMs: shutdownDeadlineMs })))
    context.note(
      upgrade,
      "agent",
      `the domain did not shut down in ${shutdownDeadlineMs / 1000} s; it is destroyed`,
    );
  await context.hypervisor.destroy(name);
  await context.router.detachDomain(upgrade);
  await context.images.removeDisk(name);
  context.journal.forgetDomainKey(upgrade.service, upgrade.version);
  context.journal.said.forgetServiceEntry(upgrade.service, upgrade.version);
  if (upgrade.stage !== "retired" || !(await context.releases.hasMetadata(upgrade.service, upgrade.version)))
    return;
  const { statement } = await context.releases.metadata(upgrade.service, upgrade.version);
  await context.swarm.remove(statement.infohash);
  await context.releases.remove(upgrade.service, upgrade.version);
}
