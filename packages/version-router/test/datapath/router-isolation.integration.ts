/**
 * Two versions on the same ports of three nodes talk to their kind, while the routers are killed, restarted, and
 * upgraded to another release and back, whose eBPF programs are others: every payload that arrives carries its
 * receiver's version, and no connection is lost. `scripts/test --only router-isolation --full` for the promised size.
 */
import { setTimeout as sleep } from "node:timers/promises";
import { join } from "node:path";
import t from "tap";
import { whyNoNamespaces } from "../daemon/namespaces.ts";
import { IsolationFleet, VERSIONS, attachedPrograms } from "./isolation/fleet.ts";
import { makeRelease } from "./isolation/release.ts";
import type { RealNode } from "../daemon/namespaces.ts";
import type { Figures } from "./isolation/resident.ts";

const FULL = process.env["FULL"] === "1";
const CONNECTIONS = FULL ? 10_000 : 3000;
const DATAGRAMS = FULL ? 1_000_000 : 150_000;
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

interface Disturbances {
  killed: number;
  /** Stopped in order. */
  asked: number;
  /** Starts of another release than the one before. */
  upgraded: number;
  /** Programs that were exchanged while attached, and those of them whose instructions are others. */
  replaced: number;
  changed: number;
}

/**
 * Stops one router after the other, by surprise or in order, and starts it again, every other time as the other
 * release, until the traffic is over.
 */
async function disturb(
  fleet: IsolationFleet,
  releases: readonly [string | undefined, string],
  traffic: AbortSignal,
): Promise<Disturbances> {
  const counts = { killed: 0, asked: 0, upgraded: 0, replaced: 0, changed: 0 };
  const running = fleet.nodes.map(() => 0);
  for (let round = 0; !traffic.aborted; round += 1) {
    for (const [index, node] of fleet.nodes.entries()) {
      if (traffic.aborted) break;
      const before = attachedPrograms(node);
      const isSudden = (round + index) % 3 !== 0;
      await node.stop(isSudden ? "SIGKILL" : "SIGTERM");
      counts[isSudden ? "killed" : "asked"] += 1;
      await sleep(DEAD_MS);
      const isUpgrade = (round + index) % 2 === 0;
      if (isUpgrade) running[index] = 1 - (running[index] ?? 0);
      node.start(releases[running[index] ?? 0]);
      await untilReady(node);
      counts.upgraded += Number(isUpgrade);
      for (const [place, { id, tag }] of attachedPrograms(node).entries()) {
        counts.replaced += Number(id !== "none" && id !== before[place]?.id);
        counts.changed += Number(tag !== "none" && tag !== before[place]?.tag);
      }
    }
  }
  return counts;
}

async function run(): Promise<void> {
  const fleet = new IsolationFleet();
  t.teardown(() => fleet.close());
  await fleet.start();
  const { domains } = fleet;
  const other = makeRelease(join(fleet.directory, "other-release"));

  t.test("nothing crosses, nothing is lost", { timeout: 0 }, async (t) => {
    const startedMs = performance.now();
    const over = new AbortController();
    const disturbances = disturb(fleet, [undefined, other], over.signal);
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
    const { killed, asked, upgraded, replaced, changed } = await disturbances;
    const figures = await Promise.all(
      domains.map(async ({ actor, version }) => ({ version, ...(await actor.call<Figures>("figures")) })),
    );
    const sum = (of: (figures: Figures) => number): number =>
      figures.reduce((total, each) => total + of(each), 0);
    const sent = sum((each) => each.datagramsSent);
    const arrived = sum((each) => each.datagramsArrived);
    for (const version of VERSIONS) {
      const of = (pick: (figures: Figures) => number): number =>
        figures.filter((each) => each.version === version).reduce((total, each) => total + pick(each), 0);
      t.comment(
        `version ${version}: ${of((each) => each.connections)} connections, ${of((each) => each.messages)} messages ` +
          `on them, ${of((each) => each.datagramsSent)} datagrams sent, ${of((each) => each.datagramsArrived)} arrived`,
      );
      t.ok(of((each) => each.messages) > 0, `version ${version} talked`);
    }
    t.comment(`${sum((each) => each.foreign)} payloads of another version, in ${seconds.toFixed(0)} s`);
    t.comment(
      `routers: ${killed} killed, ${asked} stopped in order, ${upgraded} of them started as another release; ` +
        `${replaced} programs replaced while attached, ${changed} of them by others`,
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
    t.ok(killed > 0 && asked > 0 && upgraded > 0, "every kind of interruption came");
    t.ok(changed >= 3, "an upgrade exchanged the programs of a node");
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
        "option_stripped",
      ]) {
        const packets = counters
          .filter((counter) => counter.verdict === verdict)
          .reduce((sum, { packets }) => sum + packets, 0);
        t.equal(packets, 0, `${node.address} ${verdict}`);
      }
    }
  });
}
