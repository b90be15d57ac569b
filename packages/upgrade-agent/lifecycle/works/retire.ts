/** Stage `draining`, and what a version leaves behind when it is retired or has failed. */
import { AgentError } from "../../errors.ts";
import type { Upgrade } from "../machine.ts";
import { leaveClientPath, servingBeside } from "./clients.ts";
import { domainName, type Work, type WorkContext } from "./context.ts";
import { withSession } from "./session.ts";
import { hookEnvironment, mustRunHook } from "./hooks.ts";
import { manifestOf } from "./software.ts";

/** Clients leave the version first; only then does it end. */
export const retire: Work = async (context, upgrade, signal) => {
  if (servingBeside(context, upgrade).length === 0) {
    const message = `${upgrade.service} ${upgrade.version} is the only version that serves clients on this node.`;
    throw new AgentError("E_RETIRE_TOO_EARLY", message);
  }
  await leaveClientPath(context, upgrade);
  await stopService(context, upgrade, signal);
};

async function stopService(context: WorkContext, upgrade: Upgrade, signal: AbortSignal): Promise<void> {
  if ((await context.hypervisor.state(domainName(context.config, upgrade))) !== "running") return;
  const manifest = await manifestOf(context, upgrade);
  const hook = manifest.hooks.stop;
  if (hook === undefined) return;
  const environment = hookEnvironment(context, manifest);
  try {
    await withSession(context, upgrade, signal, (session) =>
      mustRunHook(context, upgrade, session, { name: "stop", hook, environment, signal }),
    );
  } catch (error) {
    // No client is left and the domain ends next: a service that does not stop by itself is stopped with it.
    context.note(upgrade, "agent", `stop hook: ${(error as Error).message}`);
  }
}

/**
 * Removes the domain, its link and disk. Idempotent. A failed version's release stays, for inspection and another try;
 * a retired one's goes too.
 */
export async function cleanUp(context: WorkContext, upgrade: Upgrade): Promise<void> {
  const name = domainName(context.config, upgrade);
  if (upgrade.stage === "failed") await leaveClientPath(context, upgrade);
  await context.hypervisor.destroy(name);
  await context.router.detachDomain(upgrade);
  await context.images.removeDisk(name);
  context.journal.forgetDomainKey(upgrade.service, upgrade.version);
  if (upgrade.stage !== "retired" || !(await context.releases.hasMetadata(upgrade.service, upgrade.version)))
    return;
  const { statement } = await context.releases.metadata(upgrade.service, upgrade.version);
  await context.swarm.remove(statement.infohash);
  await context.releases.remove(upgrade.service, upgrade.version);
}
