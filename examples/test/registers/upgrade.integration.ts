/**
 * A live upgrade of services that clients use by HTTP/1.1, RESP and UDP, with several requests at once on each
 * connection: no request fails, none is answered by another's reply, what was acknowledged is there when version 2 is
 * alone, and what clients saw is linearizable per key. On node 2 the proxies are killed while both versions run.
 */
import { join } from "node:path";
import t from "tap";
import { down, kill, residue, up } from "@version-manager/testbed";
import { createImageStore } from "@version-manager/upgrade-agent";
import { check } from "../../linearizability/check.ts";
import type { Operation } from "../../linearizability/history.ts";
import { Clients } from "./clients.ts";
import { Fleet } from "./fleet.ts";
import { packReleases, ports, protocols } from "./releases.ts";
import { spawnUninstrumented } from "./uninstrumented.ts";

const name = "itfregisters";
const skip = process.getuid?.() === 0 ? false : "needs root";
const REQUESTS_MIN = 3_000;
/** Requests per second of each of the six services. */
const RATE = 120;
/** Of each service; the load's default. */
const CLIENTS = 4;
/** A kill meets requests on their way or does not: it is repeated until each service of the node has lost some. */
const [KILLS_MIN, KILLS_MAX, LOST_MIN] = [3, 40, 20];
/** Between two kills, of each service: every client has asked once and got on. */
const KILL_EVERY_REQUESTS = 40;

void t.test("three protocols upgrade live on two nodes", { skip, timeout: 600_000 }, async (t) => {
  spawnUninstrumented();
  const before = await residue();
  const directory = t.testdir();
  const releases = await packReleases(directory);
  await createImageStore({
    cacheDirectory: "/var/cache/version-manager/images",
    stateDirectory: "/var/lib/version-manager",
  }).build({});
  await down({ name });
  t.teardown(async () => down({ name }));
  await up({
    name,
    nodes: 2,
    hypervisor: "lxc",
    readyTimeoutMs: 300_000,
    trustedKeys: [releases.trustedKey],
    fleetKey: releases.fleetKey,
  });
  const fleet = await Fleet.open(name);
  for (const protocol of protocols) await fleet.operate("seed", releases.tarball(protocol, 1));
  await fleet.until(protocols, 1, "running");

  const services = fleet.addresses.flatMap((address, index) =>
    protocols.map((protocol) => `n${index + 1}-${protocol}=${protocol}://${address}:${ports[protocol]}`),
  );
  const clients = await Clients.start(name, services, RATE);
  t.teardown(async () => clients.close());
  await clients.atLeast(300);
  for (const protocol of protocols) await fleet.operate("seed", releases.tarball(protocol, 2));
  await fleet.until(protocols, 2, "running");
  await clients.more(200);
  const hurt = (): boolean =>
    Object.entries(clients.figures).every(
      ([service, { lost }]) => service.startsWith("n1") || lost >= LOST_MIN,
    );
  let kills = 0;
  for (; kills < KILLS_MIN || (kills < KILLS_MAX && !hurt()); kills += 1) {
    await kill({ name, node: 2, what: "proxy" });
    await clients.more(KILL_EVERY_REQUESTS);
  }
  t.comment(`the proxies of node 2 were killed ${kills} times`);
  await clients.atLeast(REQUESTS_MIN - 300);
  for (const protocol of protocols) await fleet.operate("retire", `registers-${protocol}`, "1");
  await fleet.until(protocols, 1, "retired");
  await clients.more(300);
  await clients.stop();
  const { services: seen, history } = await clients.readBack(join(directory, "history.ndjson"));

  for (const [service, figures] of Object.entries(seen)) {
    t.comment(`${service}: ${JSON.stringify(figures)}`);
    t.ok(figures.requests >= REQUESTS_MIN, `${service}: ${figures.requests} requests`);
    const { failed, faults, misordered, missing } = figures;
    t.same(
      { failed, faults, misordered, missing },
      { failed: 0, faults: [], misordered: 0, missing: [] },
      service,
    );
    t.ok(figures.keys > 100, `${service}: ${figures.keys} keys were read back`);
    const { broken, lost, requests } = figures;
    if (service === "n1-http") t.equal(lost, 0, `${service}: each request was answered`);
    // RESP has no word for the last reply of a connection: one that the proxy ends may cross with its client's requests.
    else if (service === "n1-resp") t.ok(broken <= CLIENTS, `${service}: ${lost} crossed`);
    // A datagram may be lost on a busy machine.
    else if (service === "n1-udp") t.ok(lost <= requests / 100, `${service}: ${lost} lost`);
    else t.ok(lost >= LOST_MIN, `${service}: ${lost} lost their answers with the proxy`);
  }

  const startedAtMs = performance.now();
  const { faults, ...checked } = check(history);
  t.equal(checked.verdict, "linearizable", JSON.stringify(faults).slice(0, 1_000));
  t.comment(`checked: ${JSON.stringify(checked)} in ${Math.round(performance.now() - startedAtMs)} ms`);
  t.equal(check(withStaleRead(history)).verdict, "not-linearizable", "one stale read would be found");

  await clients.close();
  await down({ name });
  const known = new Set(before.map(({ kind, what }) => `${kind} ${what}`));
  const left = (await residue())
    .map(({ kind, what }) => `${kind} ${what}`)
    .filter((entry) => !known.has(entry));
  t.same(
    left.filter((entry) => entry.includes(name)),
    [],
    "nothing is left behind",
  );
});

/** The last read of a key that was written twice sees the first of its values. */
function withStaleRead(history: readonly Operation[]): Operation[] {
  const last = history.findLast(({ key, action }) => key.endsWith(" k0") && action.kind === "read");
  const stale = history.find(({ key, action }) => key === last?.key && action.kind === "write");
  if (last === undefined || stale?.action.kind !== "write") throw new Error("nobody wrote and read k0");
  const { value } = stale.action;
  return history.map((operation) =>
    operation === last ? { ...operation, action: { kind: "read", value } } : operation,
  );
}
