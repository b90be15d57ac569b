/** The upgrade by simultaneous execution: seed version 2 on one node, watch, retire version 1. */
import { setTimeout as sleep } from "node:timers/promises";
import { kill } from "@version-manager/testbed";
import type { NodeDigest } from "@version-manager/upgrade-agent";
import type { ClientLoad, LoadFacts } from "./client-load.ts";
import { type Fleet, service, testbedName } from "./fleet.ts";
import { isolationOf } from "./isolation.ts";
import type { Releases, Say } from "./prepare.ts";
import { type DemoReport, stageTimes } from "./report.ts";

/** Clients at work before, and between the steps. */
const settleMs = 8_000;
const upgradeTimeoutMs = 1_200_000;
const retireTimeoutMs = 300_000;

export interface Scene {
  readonly fleet: Fleet;
  readonly load: ClientLoad;
  readonly releases: Releases;
  readonly say: Say;
  readonly onLook: (digests: readonly NodeDigest[]) => void;
  readonly kill: boolean;
}

export async function upgradeSimultaneously(scene: Scene): Promise<DemoReport> {
  const { fleet, load, releases, say, onLook } = scene;
  await sleep(settleMs);
  const startedAtMs = Date.now();
  say("vm-upgrade seed, on n1 alone");
  await fleet.seed(2, releases);
  const upgraded = fleet.untilAll(2, "running", upgradeTimeoutMs, onLook);
  const killing = scene.kill ? killMeanwhile(scene) : Promise.resolve([]);
  const [killed] = await Promise.all([killing, upgraded]);
  await sleep(settleMs);
  say("both versions run on every node; whom did they talk to?");
  const isolation = await isolationOf(fleet);
  say("vm-upgrade retire kv 1, on n1 alone");
  await fleet.command(1, ["vm-upgrade", "retire", service, "1"]);
  await fleet.untilAll(1, "retired", retireTimeoutMs, onLook);
  const seconds = Math.round((Date.now() - startedAtMs) / 1000);
  await sleep(settleMs);
  const clients = await load.stop();
  const verified = await readBack(fleet, load, say);
  const statuses = await fleet.statuses();
  const running = statuses.filter((status) =>
    status.versions.every((row) => (row.version === 2 ? row.stage === "running" : row.stage === "retired")),
  );
  const unread = verified.reduce((sum, { facts }) => sum + facts.failed, 0);
  const mixed = isolation.filter((proof) => !proof.onlyItsOwnKind).length;
  if (mixed > 0) say(`${mixed} domains cannot show that they talked only to their own kind`);
  return {
    schema: 1,
    mode: "simultaneous",
    hypervisor: statuses[0]?.hypervisor ?? "unknown",
    nodes: statuses.length,
    upgraded: running.length,
    requests: clients.requests,
    failed: clients.failed + unread,
    seconds,
    clients,
    verified,
    isolation,
    killed,
    stages: stageTimes(await fleet.digests(), 2, startedAtMs),
  };
}

/** A router and an agent die in the middle of the upgrade, each on another node than the one that seeds. */
async function killMeanwhile({ fleet, say }: Scene): Promise<string[]> {
  const killed: string[] = [];
  for (const what of ["router", "agent", "router"] as const) {
    await sleep(4_000);
    const node = fleet.bed.nodes[killed.length % 2 === 0 ? 1 : fleet.bed.nodes.length - 1];
    if (node === undefined) continue;
    await kill({ name: testbedName, node: node.name, what });
    killed.push(`${what} of ${node.name}`);
    say(`kill -9: ${what} of ${node.name}`);
  }
  return killed;
}

export async function readBack(
  fleet: Fleet,
  load: ClientLoad,
  say: Say,
): Promise<{ node: string; facts: LoadFacts }[]> {
  say("every acknowledged write is read back from each node");
  const verified: { node: string; facts: LoadFacts }[] = [];
  for (const node of fleet.bed.nodes) {
    verified.push({ node: node.name, facts: await load.verify(`http://${node.address}`) });
  }
  return verified;
}
