/**
 * What every data path promises to the daemon, as far as it shows without traffic. Run against the fake in unit
 * tests and against the kernel's in a network namespace; traffic is in the integration tests beside it.
 */
import type { Test } from "tap";
import type { PortSet } from "../../control/contract.ts";
import { VERDICT_NAMES } from "../../control/verdicts.ts";
import { NETWORK_MBIT_PER_S_MAX } from "../../datapath/datapath.ts";
import type { DataPath, DomainEntry } from "../../datapath/datapath.ts";
import { serviceTag } from "../../mark/index.ts";

const entry = (slot: number, version: number, service = "kv"): DomainEntry => ({
  slot,
  service,
  tag: serviceTag(service),
  version,
  link: "veth",
});
const ports: PortSet = { peer: ["tcp/7000", "udp/7001"], client: ["tcp/80"] };

/** `make` gives a data path over the same kernel state each time; the suite leaves that state destroyed. */
export function dataPathCompliance(t: Test, make: () => DataPath): void {
  const opened = async (t: Test): Promise<DataPath> => {
    const dataPath = make();
    await dataPath.open();
    t.teardown(() => dataPath.destroy());
    return dataPath;
  };

  t.test("nothing can be asked before it is open", async (t) => {
    await t.rejects(make().domains(), { code: "E_NO_DATA_PATH" });
    await t.rejects(make().attachDomain(entry(0, 1)), { code: "E_NO_DATA_PATH" });
    await t.rejects(make().flows({}), { code: "E_NO_DATA_PATH" });
    await t.rejects(make().trace({}), { code: "E_NO_DATA_PATH" });
  });

  t.test("opening twice is fine", async (t) => {
    const dataPath = await opened(t);
    await dataPath.open();
    t.same(await dataPath.domains(), []);
  });

  t.test("attaching gives a link of the domain's own, and the same one again", async (t) => {
    const dataPath = await opened(t);
    const first = await dataPath.attachDomain(entry(0, 1));
    const second = await dataPath.attachDomain(entry(1, 2));
    t.same(await dataPath.attachDomain(entry(0, 1)), first);
    for (const key of ["interfaceName", "guestInterfaceName", "mac", "managementAddress"] as const) {
      t.not(first[key], second[key], key);
    }
    t.equal(first.address, second.address);
    t.equal(first.gateway, "169.254.1.1");
    t.ok(
      first.ephemeralPorts[1] < second.ephemeralPorts[0] ||
        second.ephemeralPorts[1] < first.ephemeralPorts[0],
    );
    t.equal((await dataPath.attachDomain({ ...entry(2, 3), link: "tap" })).guestInterfaceName, undefined);
  });

  t.test("a version has one slot", async (t) => {
    const dataPath = await opened(t);
    await dataPath.attachDomain(entry(0, 1));
    await t.rejects(dataPath.attachDomain(entry(1, 1)), { code: "E_BAD_REQUEST" });
    t.equal((await dataPath.domains()).length, 1);
  });

  t.test("a slot taken by another domain is the new one's, without the old one's ports", async (t) => {
    const dataPath = await opened(t);
    await dataPath.attachDomain(entry(0, 1));
    await dataPath.setPorts(0, ports);
    await dataPath.attachDomain(entry(0, 2));
    t.match(await dataPath.domains(), [{ slot: 0, version: 2, ports: { peer: [], client: [] } }]);
  });

  t.test("detaching removes ports and frees the slot; again is fine", async (t) => {
    const dataPath = await opened(t);
    await dataPath.attachDomain(entry(5, 1));
    await dataPath.setPorts(5, ports);
    await dataPath.detachDomain(5);
    await dataPath.detachDomain(5);
    t.same(await dataPath.domains(), []);
    await dataPath.attachDomain(entry(5, 1));
    t.match(await dataPath.domains(), [{ ports: { peer: [], client: [] } }]);
  });

  t.test("ports are replaced as a whole, and want a domain", async (t) => {
    const dataPath = await opened(t);
    await t.rejects(dataPath.setPorts(0, ports), { code: "E_NO_DOMAIN" });
    await dataPath.attachDomain(entry(0, 1));
    await dataPath.attachDomain(entry(1, 2));
    await dataPath.setPorts(0, ports);
    await dataPath.setPorts(1, ports);
    await dataPath.setPorts(0, { peer: ["udp/7001"], client: [] });
    t.match(await dataPath.domains(), [
      { slot: 0, ports: { peer: ["udp/7001"], client: [] } },
      { slot: 1, ports },
    ]);
  });

  t.test("connections of a quiet or absent domain are none", async (t) => {
    const dataPath = await opened(t);
    await dataPath.attachDomain(entry(0, 1));
    for (const slot of [0, 9]) {
      t.equal(await dataPath.directConnections(slot), 0);
      t.equal(await dataPath.resetDirectConnections(slot), 0);
    }
  });

  t.test("everything is found again after close and open", async (t) => {
    const before = await opened(t);
    await before.attachDomain(entry(0, 1));
    await before.attachDomain({ ...entry(7, 2), networkMbitPerS: 100 });
    await before.setPorts(7, ports);
    await before.setClientPath("kv", { kind: "direct", version: 2 });
    await before.setClientPath("web", { kind: "closed" });
    await before.setAdvertisement(serviceTag("kv"), { version: 3, status: "available" });
    await before.setManagedPeers(["10.79.0.2"]);
    await before.setPolicy?.("kv", { unmanagedPeers: "allow" });
    const policies = await before.policies?.();
    const [domains, paths] = [await before.domains(), await before.clientPaths()];
    t.same(paths, { kv: { kind: "direct", version: 2 }, web: { kind: "closed" } });
    await before.close();
    await before.open();
    t.same(await before.domains(), domains);
    t.same(await before.clientPaths(), paths);
    t.same(await before.policies?.(), policies);
    t.match(await before.attachDomain(entry(7, 2)), domains.find(({ slot }) => slot === 7)?.domainLink);
  });

  t.test("a limit belongs to its domain, and changes when the domain is attached again", async (t) => {
    const dataPath = await opened(t);
    const limit = async () => (await dataPath.domains()).map(({ networkMbitPerS }) => networkMbitPerS);
    const link = await dataPath.attachDomain({ ...entry(0, 1), networkMbitPerS: 8 });
    await dataPath.attachDomain(entry(1, 2));
    t.same(await limit(), [8, undefined]);
    for (const networkMbitPerS of [NETWORK_MBIT_PER_S_MAX, 1]) {
      t.same(await dataPath.attachDomain({ ...entry(0, 1), networkMbitPerS }), link);
      t.same(await limit(), [networkMbitPerS, undefined]);
    }
    await dataPath.close();
    await dataPath.open();
    t.same(await limit(), [1, undefined]);
    t.same(await dataPath.attachDomain(entry(0, 1)), link);
    t.same(await limit(), [undefined, undefined]);
    await dataPath.attachDomain({ ...entry(0, 1), networkMbitPerS: 8 });
    await dataPath.attachDomain(entry(0, 3));
    t.same(await limit(), [undefined, undefined], "what takes its slot has none");
  });

  t.test("quiet, it has heard nothing", async (t) => {
    const dataPath = await opened(t);
    t.same(await dataPath.heard(), []);
    t.ok(Array.isArray(await dataPath.counters()));
  });

  t.test("quiet, it has no flows and counts no peers", async (t) => {
    const dataPath = await opened(t);
    await dataPath.attachDomain(entry(0, 1));
    t.same(await dataPath.flows({}), { flows: [], notShown: 0 });
    t.same(await dataPath.flows({ service: "kv", version: 1, protocol: "udp", limit: 1 }), {
      flows: [],
      notShown: 0,
    });
    t.same(await dataPath.peerCounters(), []);
  });

  t.test("a trace begins and ends, twice; what it cannot show it names", async (t) => {
    const dataPath = await opened(t);
    const filters = [{}, { service: "kv", version: 1, peer: "10.79.0.2", port: 7000, verdict: "marked" }];
    for (const filter of filters) {
      t.same((await dataPath.trace(filter)).packets, []);
      const batch = await dataPath.trace(filter);
      t.match(batch, { packets: [], missed: 0 });
      t.ok(batch.unseen.every((verdict) => VERDICT_NAMES.includes(verdict)));
      t.same((await dataPath.trace(undefined)).packets, []);
    }
  });

  t.test("destroyed, it can begin anew; destroying again is fine", async (t) => {
    const dataPath = await opened(t);
    await dataPath.attachDomain(entry(0, 1));
    await dataPath.setClientPath("kv", { kind: "proxy" });
    await dataPath.destroy();
    await dataPath.destroy();
    await dataPath.open();
    t.same(await dataPath.domains(), []);
    t.same(await dataPath.clientPaths(), {});
  });
}
