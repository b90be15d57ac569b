/** A node on the relay as a whole: the host's side of domains, NAT, isolation, restarts, and that nothing is left. */
import { existsSync } from "node:fs";
import t from "tap";
import { encodeUdpMark, serviceTag } from "../../mark/index.ts";
import { CLIENT_TCP, PEER_TCP, PEER_UDP, PORTS, serve, startFleet } from "./kv-fleet.ts";
import { CLIENT, sh, whyNoLab } from "./lab.ts";
import type { LabNode } from "./lab.ts";

const skip = whyNoLab();
if (skip === false) await run();
else t.plan(0, skip);

function inNode(node: LabNode, ...command: string[]): string {
  return sh("nsenter", `--net=/run/netns/${node.namespace}`, ...command);
}

async function run(): Promise<void> {
  const { lab, a, b, a1, a2, b1, b2 } = await startFleet("relay", "relay");
  t.teardown(() => lab.close());

  t.test("the host reaches each domain by its management address", async (t) => {
    const first = await a.host.connect("169.254.128.1", PEER_TCP);
    t.match(first.greeting, /^node1-v1 169\.254\.1\.1:/);
    const second = await a.host.connect("169.254.128.2", CLIENT_TCP);
    t.match(second.greeting, /^node1-v2 169\.254\.1\.1:/);
    t.match(await a.host.udp("169.254.128.2", PEER_UDP, 1000), /^node1-v2 169\.254\.1\.1:\d+ intact$/);
  });

  t.test("a domain reaches the gateway and is known there by its management address", async (t) => {
    await a.host.call("tcpServe", 4077, "gateway");
    await a.host.call("udpServe", 4077, "gateway");
    t.match((await a1.connect("169.254.1.1", 4077)).greeting, /^gateway 169\.254\.128\.1:/);
    t.match((await a2.connect("169.254.1.1", 4077)).greeting, /^gateway 169\.254\.128\.2:/);
    t.match(await a2.udp("169.254.1.1", 4077), /^gateway 169\.254\.128\.2:\d+ intact$/);
  });

  t.test("other traffic of a domain goes by plain NAT", async (t) => {
    await lab.client.call("tcpServe", 9000, "outside");
    await lab.client.call("udpServe", 9001, "outside");
    for (const domain of [a1, a2]) {
      t.match((await domain.connect(CLIENT, 9000)).greeting, /^outside 10\.78\.0\.1:/);
      t.match(await domain.udp(CLIENT, 9001), /^outside 10\.78\.0\.1:\d+ intact$/);
    }
    t.ok((await a.counter("translated", 1)) > 0);
  });

  t.test("domains reach neither each other nor what exists only inside the node", async (t) => {
    for (const target of ["169.254.128.2", "169.254.128.1", "169.254.169.254"]) {
      t.equal(await a1.udp(target, PEER_UDP, 20, 0, 200), "", target);
    }
    t.ok((await a.counter("private_address", 1)) >= 3);
  });

  t.test("nobody outside reaches a management address or the gateway", async (t) => {
    for (const address of ["169.254.128.1", "169.254.1.1"]) {
      sh("ip", "-n", lab.clientNamespace, "route", "replace", `${address}/32`, "via", a.address);
      t.equal(await lab.client.udp(address, PEER_UDP, 20, 0, 200), "", address);
      sh("ip", "-n", lab.clientNamespace, "route", "delete", `${address}/32`);
    }
    t.ok((await a.counter("private_address", 0)) >= 2);
  });

  t.test("a spoofed source and a forged mark are refused", async (t) => {
    sh("ip", "-n", a.domainNamespace(0), "address", "add", "10.78.0.55/32", "dev", "eth0");
    await a1.call("udpSend", b.address, PEER_UDP, "00", "10.78.0.55");
    t.equal(await a.counter("spoofed", 1), 1, "address");
    await a.call("setPorts", 0, { peer: [], client: [] });
    const mark = { tag: serviceTag("kv"), version: 2, advertisement: undefined };
    await a1.call(
      "udpSend",
      b.address,
      PEER_UDP,
      Buffer.from(encodeUdpMark(mark)).toString("hex"),
      a.address,
    );
    t.equal(await a.counter("spoofed", 1), 2, "mark");
    await t.rejects(a1.connect(b.address, PEER_TCP), /ECONNREFUSED/, "another version's peer port");
    t.equal(await a.counter("no_flow", 1), 1);
    await a.call("setPorts", 0, PORTS);
  });

  t.test("a port of one service cannot be another's", async (t) => {
    await a.attach(5, 1, "other");
    await t.rejects(a.call("setPorts", 5, { peer: [`tcp/${PEER_TCP}`], client: [] }), {
      code: "E_PORT_TAKEN",
    });
    await t.rejects(a.call("setPorts", 6, { peer: [], client: [] }), { code: "E_NO_DOMAIN" });
    await a.call("detachDomain", 5);
  });

  t.test(
    "a daemon's death ends its flows and lets nothing out unmarked; a new one finds everything",
    async (t) => {
      await a.call("setClientPath", "kv", { kind: "direct", version: 1 });
      const before = await a.call("domains");
      const open = await b1.connect(a.address, PEER_TCP);
      const client = await lab.client.connect(a.address, CLIENT_TCP);
      await a.killDaemon();
      await b1.call("tcpGone", open.id);
      await lab.client.call("tcpGone", client.id);
      t.equal(await b1.udp(a.address, PEER_UDP, 20, 0, 300), "");
      const early = a2.connect(b.address, PEER_TCP);
      t.equal(await a2.udp(b.address, PEER_UDP, 20, 0, 300), "");
      for (const verdict of ["unmarked", "option_stripped"])
        t.equal(await b.counter(verdict), 0, "nothing left without a mark");

      await a.start();
      t.match((await early).greeting, /^node2-v2 /, "a connection begun meanwhile");
      t.same(await a.call("domains"), before);
      t.same(await a.call("clientPaths"), { kv: { kind: "direct", version: 1 } });
      t.match((await b1.connect(a.address, PEER_TCP)).greeting, /^node1-v1 /);
      t.match((await lab.client.connect(a.address, CLIENT_TCP)).greeting, /^node1-v1 /);
      t.match(await b2.udp(a.address, PEER_UDP), /^node1-v2 .* intact$/);
      t.equal(await a.call("directConnections", 0), 1);
    },
  );

  t.test("a container that died gets a new link, and its ports stay", async (t) => {
    await lab.removeNamespace(a.domainNamespace(0), a1);
    const again = await serve(a, 0, 1);
    t.match((await again.connect(b.address, PEER_TCP)).greeting, /^node2-v1 10\.78\.0\.1:/);
    t.match((await b1.connect(a.address, PEER_TCP)).greeting, /^node1-v1 /);
  });

  t.test("destroy leaves nothing", async (t) => {
    await a.call("destroy");
    t.notMatch(inNode(a, "ip", "link"), /vm-/);
    t.notMatch(inNode(a, "ip", "address"), /169\.254\./);
    t.notMatch(inNode(a, "ip", "route", "show", "table", "all"), /169\.254\.|407[78]/);
    t.notMatch(inNode(a, "ip", "rule"), /407[78]/);
    t.equal(inNode(a, "nft", "list", "ruleset").trim(), "");
    t.equal(inNode(a, "cat", "/proc/sys/net/ipv4/ip_forward").trim(), "0");
    t.notOk(existsSync(`${a.pins}.json`));
    await a.call("destroy");
  });
}
