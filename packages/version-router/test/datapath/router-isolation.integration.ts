/**
 * Two versions on the same ports of three nodes talk to their kind, while the routers are killed, restarted, and their
 * programs replaced under the traffic: every payload that arrives carries its receiver's version, and no connection is
 * lost. `CONNECTIONS` and `DATAGRAMS` choose how many.
 */
import { setTimeout as sleep } from "node:timers/promises";
import t from "tap";
import { whyNoNamespaces } from "../daemon/namespaces.ts";
import { IsolationFleet, VERSIONS, attachedPrograms } from "./isolation/fleet.ts";
import type { RealNode } from "../daemon/namespaces.ts";
import type { Figures } from "./isolation/resident.ts";

const CONNECTIONS = Number(process.env["CONNECTIONS"] ?? 10_000);
const DATAGRAMS = Number(process.env["DATAGRAMS"] ?? 1_000_000);
/** Connections of one domain at any moment. */
const AT_ONCE = 60;
/** For how long a node is without its router. */
const DEAD_MS = 500;
const START_TRIES = 6;

const skip = whyNoNamespaces();
t.setTimeout(0);
if (skip === false) await run();
else t.plan(0, skip);

/** On a busy machine a router may take longer to start than its client's patience. */
async function untilReady(node: RealNode): Promise<void> {
  for (let tries = 1; ; tries += 1) {
    try {
      await node.client.status();
      return;
    } catch (error) {
      if (tries === START_TRIES) throw new Error(`no router: ${node.log}`, { cause: error });
    }
  }
}

/** Kills one router after the other, by surprise or in order, until the traffic is over. */
async function disturb(
  fleet: IsolationFleet,
  traffic: AbortSignal,
): Promise<{ killed: number; asked: number; replaced: number }> {
  const counts = { killed: 0, asked: 0, replaced: 0 };
  for (let round = 0; !traffic.aborted; round += 1) {
    for (const [index, node] of fleet.nodes.entries()) {
      if (traffic.aborted) break;
      const before = attachedPrograms(node);
      const isSudden = (round + index) % 3 !== 0;
      await node.stop(isSudden ? "SIGKILL" : "SIGTERM");
      counts[isSudden ? "killed" : "asked"] += 1;
      await sleep(DEAD_MS);
      node.start();
      await untilReady(node);
      const after = attachedPrograms(node);
      counts.replaced += after.filter((id, place) => id !== "none" && id !== before[place]).length;
    }
  }
  return counts;
}

async function run(): Promise<void> {
  const fleet = new IsolationFleet();
  t.teardown(() => fleet.close());
  await fleet.start();
  const { domains } = fleet;

  t.test("nothing crosses, nothing is lost", { timeout: 0 }, async (t) => {
    const startedMs = performance.now();
    const over = new AbortController();
    const disturbances = disturb(fleet, over.signal);
    const share = Math.ceil(CONNECTIONS / domains.length);
    const flows = domains.reduce((sum, { peers }) => sum + peers.length, 0);
    await Promise.all(
      domains.flatMap(({ actor, peers }) => [
        actor.call("talk", peers, share, AT_ONCE),
        actor.call("pour", peers, Math.ceil(DATAGRAMS / flows)),
      ]),
    );
    const seconds = (performance.now() - startedMs) / 1000;
    over.abort();
    const { killed, asked, replaced } = await disturbances;
    const figures = await Promise.all(
      domains.map(async ({ actor, version }) => ({ version, ...(await actor.call<Figures>("figures")) })),
    );
    const sum = (of: (figures: Figures) => number): number =>
      figures.reduce((total, each) => total + of(each), 0);
    const sent = sum((each) => each.datagramsSent);
    const arrived = sum((each) => each.datagramsArrived);
    t.comment(
      `${sum((each) => each.connections)} connections, ${sum((each) => each.messages)} messages on them`,
    );
    t.comment(`${sent} datagrams sent, ${arrived} arrived, in ${seconds.toFixed(0)} s`);
    t.comment(
      `routers: ${killed} killed, ${asked} stopped in order, ${replaced} programs replaced while attached`,
    );
    t.same(
      figures.flatMap(({ lost }) => lost),
      [],
      "no connection is lost",
    );
    t.ok(sum((each) => each.connections) >= CONNECTIONS);
    t.ok(sent >= DATAGRAMS);
    t.ok(arrived > sent * 0.99, "hardly a datagram is lost");
    t.equal(
      sum((each) => each.foreign),
      0,
      "no payload of another version",
    );
    for (const version of VERSIONS) {
      t.ok(
        figures.filter((each) => each.version === version).every(({ messages }) => messages > 0),
        `version ${version} talked`,
      );
    }
    t.ok(killed > 0 && replaced > 0);
  });

  t.test("the kernel's counters say the same", async (t) => {
    for (const node of fleet.nodes) {
      const { counters } = await node.client.status();
      for (const verdict of [
        "wrong_version",
        "unknown_version",
        "kernel_error",
        "reset",
        "no_flow",
        "unmarked",
      ]) {
        const packets = counters
          .filter((counter) => counter.verdict === verdict)
          .reduce((sum, { packets }) => sum + packets, 0);
        t.equal(packets, 0, `${node.address} ${verdict}`);
      }
    }
  });
}
