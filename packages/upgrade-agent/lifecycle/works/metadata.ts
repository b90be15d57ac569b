/** Stages `discovered` to `scheduled`: fetch and verify what was advertised, then wait for this version's turn. */
import { AgentError } from "../../errors.ts";
import { nodesWithRelease } from "../../fleet/view.ts";
import type { Upgrade } from "../machine.ts";
import { isBetween } from "../stages.ts";
import type { Work, WorkContext } from "./context.ts";

/** An advertisement is a hint from a stranger: nothing is kept before the signature over all of it is verified. */
export const fetchMetadata: Work = async (context, upgrade, signal) => {
  const { service, version } = upgrade;
  if (await context.releases.hasMetadata(service, version)) return;
  const sources = new Set([upgrade.source, ...nodesWithRelease(context.fleet(), service, version)]);
  sources.delete("local");
  let last: unknown = new AgentError("E_FETCH", `No node is known that has ${service} ${version}.`);
  for (const source of sources) {
    signal.throwIfAborted();
    try {
      await fetchFrom(context, source, upgrade);
      return;
    } catch (error) {
      last = error;
    }
  }
  throw last;
};

async function fetchFrom(context: WorkContext, source: string, upgrade: Upgrade): Promise<void> {
  const { envelope, torrent } = await context.peers.release(source, upgrade.service, upgrade.version);
  const statement = context.verifier.verify(envelope, "release");
  const { service, version } = statement.manifest;
  if (service !== upgrade.service || version !== upgrade.version) {
    const message = `${source} answered ${service} ${version} when asked for ${upgrade.service} ${upgrade.version}.`;
    throw new AgentError("E_SIGNATURE", message);
  }
  await context.releases.putMetadata(envelope, torrent);
}

const turnPollMs = 250;

/** One version of a service at a time changes on a node: the others wait here. */
export const awaitTurn: Work = async (context, upgrade, signal) => {
  while (context.journal.upgrades().some((other) => isInTheWay(other, upgrade))) {
    await context.sleep(turnPollMs, signal);
  }
};

function isInTheWay(other: Upgrade, upgrade: Upgrade): boolean {
  if (other.service !== upgrade.service || other.version === upgrade.version) return false;
  return isBetween(other.stage, "downloading", "caught-up") || other.stage === "draining";
}
