/** The ordinary way, for comparison: on one node after the other version 1 is stopped and version 2 put in its place. */
import { setTimeout as sleep } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import { service } from "./fleet.ts";
import { isolationOf } from "./isolation.ts";
import { type DemoReport } from "./report.ts";
import { readBack, type Scene } from "./simultaneous.ts";

const settleMs = 8_000;
const program = fileURLToPath(new URL("./replace-in-place.js", import.meta.url));

export async function upgradeRolling(scene: Scene): Promise<DemoReport> {
  const { fleet, load, releases, say } = scene;
  await sleep(settleMs);
  const startedAtMs = Date.now();
  const stages: Record<string, { stage: string; enteredAtMs: number; lastedMs: number }[]> = {};
  let upgraded = 0;
  for (const [index, node] of fleet.bed.nodes.entries()) {
    say(`${node.name}: version 1 is stopped, replaced and started as version 2`);
    const beganAtMs = Date.now();
    const tarball = releases.tarballs.get(2) ?? "";
    await fleet.command(index + 1, [process.execPath, program, service, "1", tarball]);
    upgraded += 1;
    const enteredAtMs = beganAtMs - startedAtMs;
    stages[node.name] = [{ stage: "replaced", enteredAtMs, lastedMs: Date.now() - beganAtMs }];
    await sleep(settleMs);
  }
  const seconds = Math.round((Date.now() - startedAtMs) / 1000);
  const isolation = await isolationOf(fleet);
  const clients = await load.stop();
  const verified = await readBack(fleet, load, say);
  const statuses = await fleet.statuses();
  const unread = verified.reduce((sum, { facts }) => sum + facts.failed, 0);
  return {
    schema: 1,
    mode: "rolling",
    hypervisor: statuses[0]?.hypervisor ?? "unknown",
    nodes: statuses.length,
    upgraded,
    requests: clients.requests,
    failed: clients.failed + unread,
    seconds,
    clients,
    verified,
    isolation,
    killed: [],
    stages,
  };
}
