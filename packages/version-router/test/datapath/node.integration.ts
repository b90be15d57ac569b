/** A node as a whole: the host's side of domains, NAT, isolation, restarts, and that nothing is left at the end. */
import { mkdirSync, readdirSync, rmdirSync } from "node:fs";
import { join } from "node:path";
import t from "tap";
import { encodeUdpMark, serviceTag } from "../../mark/index.ts";
import {
  FLOW,
  LAYOUT,
  PROTOCOL,
  ROLE,
  flow as flowStruct,
  flowKey,
  port as portStruct,
  portKey,
} from "../../datapath/kernel/structs.ts";
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
  const { lab, a, b, a1, a2, b1 } = await startFleet();
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
    const forged = encodeUdpMark({ tag: serviceTag("kv"), version: 2, advertisement: undefined });
    await a1.call("udpSend", b.address, PEER_UDP, Buffer.from(forged).toString("hex"), a.address);
    t.equal(await a.counter("spoofed", 1), 2, "mark");
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

  t.test("packets flow while the daemon is dead, and a new one finds everything", async (t) => {
    await a.call("setClientPath", "kv", { kind: "direct", version: 1 });
    const before = await a.call("domains");
    const open = await b1.connect(a.address, PEER_TCP);
    const client = await lab.client.connect(a.address, CLIENT_TCP);
    await a.killDaemon();
    t.equal(await b1.echo(open.id, "over"), "over");
    t.match((await b1.connect(a.address, PEER_TCP)).greeting, /^node1-v1 /, "a new connection");
    t.match((await lab.client.connect(a.address, CLIENT_TCP)).greeting, /^node1-v1 /, "a new client");
    t.match(await b1.udp(a.address, PEER_UDP), /^node1-v1 .* intact$/);

    const opened = new AbortController();
    const lost = (async () => {
      let count = 0;
      while (!opened.signal.aborted) if (!(await b1.udp(a.address, PEER_UDP)).endsWith("intact")) count += 1;
      return count;
    })();
    await a.start();
    opened.abort();
    t.equal(await lost, 0, "no datagram is lost while programs are replaced");
    t.same(await a.call("domains"), before);
    t.same(await a.call("clientPaths"), { kv: { kind: "direct", version: 1 } });
    t.equal(await a.call("directConnections", 0), 2);
    t.equal(await lab.client.echo(client.id, "still"), "still");
  });

  t.test("a container that died gets a new link, and its ports stay", async (t) => {
    await lab.removeNamespace(a.domainNamespace(0), a1);
    const again = await serve(a, 0, 1);
    t.match((await again.connect(b.address, PEER_TCP)).greeting, /^node2-v1 10\.78\.0\.1:/);
    t.match((await b1.connect(a.address, PEER_TCP)).greeting, /^node1-v1 /);
  });

  t.test("attach and detach may be repeated; a slot may change hands", async (t) => {
    const first = await a.attach(7, 9, "kv", "tap");
    t.same(await a.attach(7, 9, "kv", "tap"), first);
    t.match(first, { interfaceName: "vm-s7", managementAddress: "169.254.128.8", mtu: 1484 });
    await t.rejects(a.attach(8, 9, "kv", "tap"), { code: "E_BAD_REQUEST" }, "one version has one slot");
    await a.attach(7, 10, "kv", "tap");
    t.ok(
      (await a.call("domains")).some(
        ({ slot, version, link }) => slot === 7 && version === 10 && link === "tap",
      ),
    );
    await a.call("detachDomain", 7);
    await a.call("detachDomain", 7);
    t.notMatch(inNode(a, "ip", "link"), /vm-s7/);
  });

  t.test(
    "a daemon that died half-way through a detachment leaves nothing to the slot's next domain",
    async (t) => {
      const map = (name: string): string => join(a.pins, `layout-${LAYOUT}`, "maps", name);
      const put = (name: string, key: Buffer, value: Buffer): void => {
        const bytes = (buffer: Buffer): string[] => ["hex", ...(buffer.toString("hex").match(/../g) ?? [])];
        sh("bpftool", "map", "update", "pinned", map(name), "key", ...bytes(key), "value", ...bytes(value));
      };
      const tag = serviceTag("kv");
      const port = { peer_slots: 1n << 9n, client_slots: 0n, tag, pad: undefined };
      put(
        "ports",
        portKey.encode({ port: 7009, protocol: PROTOCOL.tcp, pad: undefined }),
        portStruct.encode(port),
      );
      const tuple = {
        remote: CLIENT,
        remote_port: 40_000,
        local_port: 80,
        protocol: PROTOCOL.tcp,
        pad: undefined,
      };
      const flow = { last_seen_ns: 0n, slot: 9, state: FLOW.open, role: ROLE.client, seen: 0, domain_syn: 0 };
      put("flows", flowKey.encode(tuple), flowStruct.encode(flow));
      await a.attach(9, 9);
      t.match(
        (await a.call("domains")).filter(({ slot }) => slot === 9),
        [{ ports: { peer: [], client: [] } }],
      );
      t.equal(await a.call("directConnections", 9), 0);
      await a.call("detachDomain", 9);
    },
  );

  t.test("pins of another layout are refused in words that help", async (t) => {
    const stranger = join(lab.bpffs, "node1", "layout-999");
    mkdirSync(stranger);
    await a.killDaemon();
    await t.rejects(a.start(), { code: "E_KERNEL", message: /layout-999.*destroy/ });
    rmdirSync(stranger);
    await a.start();
  });

  t.test("destroy leaves nothing", async (t) => {
    await a.call("destroy");
    t.notMatch(inNode(a, "ip", "link"), /vm-/);
    t.notMatch(inNode(a, "ip", "address"), /169\.254\./);
    t.notMatch(inNode(a, "ip", "route"), /169\.254\./);
    t.notMatch(inNode(a, "tc", "qdisc"), /clsact/);
    t.equal(inNode(a, "nft", "list", "ruleset").trim(), "");
    t.equal(inNode(a, "cat", "/proc/sys/net/ipv4/ip_forward").trim(), "0");
    t.notOk(readdirSync(lab.bpffs).includes("node1"));
    await a.call("destroy");
  });
}
