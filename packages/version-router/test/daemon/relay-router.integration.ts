/** The real `vm-router` with `"dataPath": "relay"`: registration, marks, gossip, sudden death, leaving nothing. */
import { existsSync } from "node:fs";
import { join } from "node:path";
import t from "tap";
import type { RouterEvent } from "../../control/contract.ts";
import { probeRelayDataPath } from "../../datapath/relay/index.ts";
import { sh, udpAsk, udpServer, Wire, within } from "./namespaces.ts";

const REGISTER = join(import.meta.dirname, "../../register/vm-register");
const kv1 = { service: "kv", version: 1 };
const probe = await probeRelayDataPath();

if (probe.ok) run();
else t.plan(0, `needs the relay data path: ${probe.missing.map(({ what }) => what).join(", ")}`);

function run(): void {
  const wire = new Wire({ peers: ["10.79.0.1", "10.79.0.2"], dataPath: "relay" });
  const [one, two] = wire.nodes;
  const domains: string[] = [];
  const heard: RouterEvent[] = [];
  const stop = new AbortController();
  t.teardown(() => wire.close());
  t.teardown(() => stop.abort());
  const until = async (holds: () => boolean, what: string) => {
    for (let tries = 0; tries < 300 && !holds(); tries += 1)
      await new Promise((resolve) => setTimeout(resolve, 100));
    t.ok(holds(), what);
  };

  t.test("it comes up, says which data path it has, and domains register with it", async (t) => {
    for (const node of wire.nodes) {
      node.start();
      domains.push(wire.domain(node, await node.client.attachDomain({ ...kv1, kind: "veth" })));
      const domain = domains.at(-1) ?? "";
      const registered = await within(domain, "/bin/sh", REGISTER, "peer", "udp/7001", "client", "tcp/80");
      t.same(registered, { code: 0, out: "", err: "" });
      const status = await node.client.status();
      t.equal(status.dataPath, "relay");
      t.match(status.domains, [{ ...kv1, ports: { peer: ["udp/7001"], client: ["tcp/80"] } }]);
    }
  });

  t.test("traffic between domains is marked, delivered, and teaches", async (t) => {
    void (async () => {
      for await (const event of two.client.events(stop.signal)) heard.push(event);
    })();
    const [first = "", second = ""] = domains;
    const server = udpServer(second, 7001, "two");
    t.teardown(() => void server.kill());
    // Direct marks are cut off, so that the traffic's marks carry the news.
    const nft = (...words: string[]) => within(one.namespace, "nft", ...words);
    await nft("add table ip vmrl; add chain ip vmrl out { type filter hook output priority 0; }");
    await nft("add rule ip vmrl out udp dport 4078 drop");
    await one.client.setAdvertisements("kv", [
      { version: 1, status: "running" },
      { version: 4, status: "available" },
    ]);
    const hasHeard = () => heard.some((event) => event.type === "heard" && event.advertisement.version === 4);
    for (let tries = 0; tries < 20 && !hasHeard(); tries += 1)
      t.equal(await udpAsk(first, two.address, 7001), `two ${one.address}`);
    await until(hasHeard, "the mark has become news");
    t.equal((await nft("delete", "table", "ip", "vmrl")).code, 0);
  });

  t.test("after a sudden death everything is found again", async (t) => {
    const settled = async () => {
      const { counters: _, pid: __, startedAtMs: ___, ...rest } = await two.client.status();
      return rest;
    };
    await two.client.setClientPath("kv", { kind: "direct", version: 1 });
    const before = await settled();
    await two.stop("SIGKILL");
    two.start();
    t.same(await settled(), before);
    const [first = "", second = ""] = domains;
    const server = udpServer(second, 7001, "again");
    t.teardown(() => void server.kill());
    t.equal(await udpAsk(first, two.address, 7001), `again ${one.address}`);
  });

  t.test("SIGTERM ends it in order; --destroy leaves nothing", async (t) => {
    t.equal(await one.stop("SIGTERM"), 0);
    t.match(sh("ip", "-n", one.namespace, "link"), /vm-s0/, "domains keep their links");
    await two.stop("SIGKILL");
    for (const node of wire.nodes) {
      t.match(await node.command("--destroy"), { code: 0, err: "" });
      t.notMatch(sh("ip", "-n", node.namespace, "link"), /vm-/);
      t.equal((await within(node.namespace, "nft", "list", "ruleset")).out, "");
      t.notMatch(sh("ip", "-n", node.namespace, "address"), /169\.254/);
      t.notMatch(sh("ip", "-n", node.namespace, "rule"), /407[78]/);
      t.notOk(existsSync(`${node.socket}.relay.json`));
      t.match(await node.command("--destroy"), { code: 0 }, "twice is fine");
    }
  });
}
