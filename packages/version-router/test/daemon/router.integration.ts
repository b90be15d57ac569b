/** The real `vm-router` on two nodes in network namespaces: marks, registration, sudden death, leaving nothing. */
import { existsSync } from "node:fs";
import { join } from "node:path";
import t from "tap";
import type { RouterEvent } from "../../control/contract.ts";
import { sh, udpAsk, udpServer, whyNoNamespaces, Wire, within } from "./namespaces.ts";

const REGISTER = join(import.meta.dirname, "../../register/vm-register");
const kv1 = { service: "kv", version: 1 };
const skip = whyNoNamespaces();

if (skip !== false) {
  t.plan(0, skip);
} else {
  const wire = new Wire({ peers: ["10.79.0.1", "10.79.0.2"] });
  const [one, two] = wire.nodes;
  const domains: string[] = [];
  t.teardown(async () => {
    await wire.close();
    const left = sh("ip", "netns", "list")
      .split("\n")
      .filter((line) => line.startsWith(`vmrd-${process.pid}-`));
    if (left.length > 0 || existsSync(wire.directory)) throw new Error(`left behind: ${left.join()}`);
  });

  const heard: RouterEvent[] = [];
  const stop = new AbortController();
  t.teardown(() => stop.abort());
  const until = async (holds: () => boolean | Promise<boolean>, what: string) => {
    for (let tries = 0; tries < 300; tries += 1) {
      if (await holds()) return;
      await new Promise((resolve) => setTimeout(resolve, 100));
    }
    t.fail(`${what}\n${one.log}${two.log}${JSON.stringify(heard)}`);
  };
  const hasHeard = (version: number) => () =>
    heard.some((event) => event.type === "heard" && event.advertisement.version === version);

  t.test("each node's router comes up and a domain registers its ports with it", async (t) => {
    for (const node of wire.nodes) {
      node.start();
      const link = await node.client.attachDomain({ ...kv1, kind: "veth" });
      const domain = wire.domain(node, link);
      domains.push(domain);
      const registered = await within(domain, "/bin/sh", REGISTER, "peer", "udp/7001", "client", "tcp/80");
      t.same(registered, { code: 0, out: "", err: "" });
      const taken = await within(domain, "/bin/sh", REGISTER, "peer", "udp/4078");
      t.match(taken, { code: 1, err: /E_PORT_TAKEN.*mark exchange/ });
      t.match((await node.client.status()).domains, [
        { ...kv1, ports: { peer: ["udp/7001"], client: ["tcp/80"] } },
      ]);
    }
  });

  t.test("nobody but a domain registers", async (t) => {
    const stranger = await within(one.namespace, "/bin/sh", REGISTER, "peer", "udp/7009");
    t.match(stranger, { code: 1, err: /E_NO_DOMAIN/ });
  });

  t.test("direct marks tell the other node what is available here", async () => {
    void (async () => {
      for await (const event of two.client.events(stop.signal)) heard.push(event);
    })();
    await one.client.setAdvertisements("kv", [
      { version: 1, status: "running" },
      { version: 2, status: "available" },
    ]);
    await until(hasHeard(2), "no direct mark");
  });

  t.test("traffic between domains is marked, delivered, and teaches too", async (t) => {
    const [first = "", second = ""] = domains;
    const server = udpServer(second, 7001, "two");
    t.teardown(() => void server.kill());
    t.equal(await udpAsk(first, two.address, 7001), `two ${one.address}`);
    const { counters } = await two.client.status();
    t.ok(
      counters.some((counter) => counter.service === "kv" && counter.version === 1 && counter.packets > 0),
      JSON.stringify(counters),
    );
    t.test("with direct marks cut off, the marks of the traffic carry the news", async (t) => {
      const nft = (...words: string[]) => within(one.namespace, "nft", ...words);
      await nft("add table ip vmrd; add chain ip vmrd out { type filter hook output priority 0; }");
      await nft("add rule ip vmrd out udp dport 4078 drop");
      await one.client.setAdvertisements("kv", [
        { version: 1, status: "running" },
        { version: 4, status: "available" },
      ]);
      await until(async () => {
        await udpAsk(first, two.address, 7001);
        return hasHeard(4)();
      }, "the marks did not teach");
      t.equal((await nft("delete", "table", "ip", "vmrd")).code, 0);
    });
    t.test("also while no router runs, and after a sudden death everything is found again", async (t) => {
      const settled = async () => {
        const { domains, clientPaths, policies, warnings } = await two.client.status();
        return { domains, clientPaths, policies, warnings };
      };
      await two.client.setClientPath("kv", { kind: "direct", version: 1 });
      const before = await settled();
      await two.stop("SIGKILL");
      t.ok(existsSync(two.socket), "it could not tidy up");
      t.equal(await udpAsk(first, two.address, 7001), `two ${one.address}`);
      two.start();
      t.same(await settled(), before);
      t.equal(await udpAsk(first, two.address, 7001), `two ${one.address}`);
      await one.client.setAdvertisements("kv", [
        { version: 1, status: "running" },
        { version: 3, status: "available" },
      ]);
      await until(hasHeard(3), "the event stream did not go on");
      const again = await within(domains[1] ?? "", "/bin/sh", REGISTER, "--list");
      t.match(JSON.parse(again.out), { ...kv1, peer: ["udp/7001"] });
    });
  });

  t.test("a host process in the way of a port is named", async (t) => {
    const code = `require("node:net").createServer().listen(8080, "0.0.0.0", () => console.log("on"))`;
    const { spawn } = await import("node:child_process");
    const blocker = spawn("nsenter", [`--net=/run/netns/${one.namespace}`, process.execPath, "-e", code]);
    t.teardown(() => void blocker.kill());
    await new Promise((resolve) => blocker.stdout.once("data", resolve));
    const taken = await within(domains[0] ?? "", "/bin/sh", REGISTER, "client", "tcp/8080");
    t.match(taken, { code: 1, err: new RegExp(`E_PORT_TAKEN.*pid ${blocker.pid}`) });
  });

  t.test("a second router is refused; SIGTERM ends the first in order", async (t) => {
    t.match(await one.command(), { code: 1, err: /E_BAD_REQUEST.*Another router/ });
    t.match(await one.command("--destroy"), { code: 1, err: /E_BAD_REQUEST/ });
    t.equal(await one.stop("SIGTERM"), 0);
    t.notOk(existsSync(one.socket));
    t.match(sh("ip", "-n", one.namespace, "link"), /vm-s0/, "packets keep flowing");
  });

  t.test("--destroy leaves nothing", async (t) => {
    await two.stop("SIGKILL");
    for (const node of wire.nodes) {
      t.match(await node.command("--destroy"), { code: 0, err: "" });
      t.notMatch(sh("ip", "-n", node.namespace, "link"), /vm-/);
      t.notMatch(sh("tc", "-n", node.namespace, "qdisc"), /clsact/);
      t.equal((await within(node.namespace, "nft", "list", "ruleset")).out, "");
      t.notMatch(sh("ip", "-n", node.namespace, "address"), /169\.254/);
      t.notOk(existsSync(node.pins));
      t.match(await node.command("--destroy"), { code: 0 }, "twice is fine");
    }
  });
}
