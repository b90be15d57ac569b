/** A node that has an IPv6 address, as a whole: NAT, isolation, spoofing, errors, restarts, and that nothing is left. */
import t from "tap";
import { encodeUdpMark, serviceTag } from "../../mark/index.ts";
import { PEER_TCP, PEER_UDP, PORTS } from "./kv-fleet.ts";
import { CLIENT6, Lab, sh, whyNoLab } from "./lab.ts";
import { makePacket6 } from "./packet6.ts";
import type { LabNode } from "./lab.ts";

const ICMP_SENDER = new URL("icmp-sender.ts", import.meta.url).pathname;
const MANAGEMENT_OF_SECOND = "fd56:52aa:6f3d:1::2";

const skip = whyNoLab();
if (skip === false) await run();
else t.plan(0, skip);

function inNode(node: LabNode, ...command: string[]): string {
  return sh("nsenter", `--net=/run/netns/${node.namespace}`, ...command);
}

async function run(): Promise<void> {
  const lab = await Lab.create(2, [], true);
  t.teardown(() => lab.close());
  const [a, b] = lab.nodes as [LabNode, LabNode];
  for (const node of lab.nodes) await node.call("setManagedPeers", [a.address6, b.address6]);
  const [a1, a2, b1] = [await a.domain(0, 1), await a.domain(1, 2), await b.domain(0, 1)];
  await a.call("setPorts", 0, PORTS);
  await a.call("setPorts", 1, PORTS);
  await b.call("setPorts", 0, PORTS);
  for (const [domain, name] of [
    [a1, "a1"],
    [a2, "a2"],
    [b1, "b1"],
  ] as const) {
    await domain.call("tcpServe", PEER_TCP, name, "echo", 0, "::");
    await domain.call("udpServe", PEER_UDP, name, "udp6");
  }

  t.test("other traffic of a domain goes by plain NAT, echoes too", async (t) => {
    await lab.client.call("tcpServe", 9000, "outside", "echo", 0, "::");
    await lab.client.call("udpServe", 9001, "outside", "udp6");
    for (const slot of [0, 1]) {
      const domain = slot === 0 ? a1 : a2;
      t.match((await domain.connect(CLIENT6, 9000)).greeting, /^outside fd10:78::1:/);
      t.match(await domain.udp(CLIENT6, 9001, 1436), /^outside fd10:78::1:\d+ intact$/);
      const inDomain = `--net=/run/netns/${a.domainNamespace(slot)}`;
      t.match(sh("nsenter", inDomain, "ping", "-6", "-c", "1", "-W", "5", CLIENT6), / 1 received/);
    }
  });

  t.test("domains reach neither each other nor what exists only inside a node", async (t) => {
    const before = await a.counter("private_address", 1);
    for (const target of [MANAGEMENT_OF_SECOND, "::ffff:10.78.0.2", "fe80::1%eth0"])
      t.equal(await a1.udp(target, PEER_UDP, 20, 0, 200).catch(() => ""), "", target);
    t.ok((await a.counter("private_address", 1)) > before);
    t.match((await a1.connect(a.address6, PEER_TCP)).greeting, /^a1 /, "its own address is itself");
  });

  t.test("nobody outside reaches a management address", async (t) => {
    sh("ip", "-n", lab.clientNamespace, "-6", "route", "add", "fd56:52aa:6f3d:1::/64", "via", a.address6);
    const before = await a.counter("private_address", 0);
    t.equal(await lab.client.udp(MANAGEMENT_OF_SECOND, PEER_UDP, 20, 0, 200), "");
    t.ok((await a.counter("private_address", 0)) > before);
  });

  t.test("a spoofed source and a forged mark are refused", async (t) => {
    const forger = a.domainNamespace(0);
    sh("ip", "-n", forger, "-6", "address", "add", "fd10:78::99/128", "dev", "eth0", "nodad");
    const [spoofed, delivered] = [await a.counter("spoofed", 1), await b.counter("delivered", 1)];
    await a1.call("udpSend", b.address6, PEER_UDP, "00", "fd10:78::99");
    t.equal(await a.counter("spoofed", 1), spoofed + 1);
    const forged = encodeUdpMark({ tag: serviceTag("kv"), version: 2, advertisement: undefined });
    await a1.call("udpSend", CLIENT6, 9001, Buffer.from(forged).toString("hex"), a.address6);
    t.equal(await a.counter("spoofed", 1), spoofed + 2);
    t.equal(await b.counter("delivered", 1), delivered);
    sh("ip", "-n", forger, "-6", "address", "del", "fd10:78::99/128", "dev", "eth0");
  });

  t.test("packet too big: the sender learns what is left beside the mark, nobody else", async (t) => {
    for (const domain of [a1, a2]) await domain.call("udpServe", 20_005, "sender", "udp6");
    const mark = encodeUdpMark({ tag: serviceTag("kv"), version: 1, advertisement: undefined });
    const payload = Buffer.concat([mark, Buffer.alloc(1000)]);
    const quoted = makePacket6({
      from: a.address6,
      to: b.address6,
      fromPort: 20_005,
      toPort: PEER_UDP,
      payload,
    });
    const message = Buffer.concat([Buffer.from("0200000000000578", "hex"), quoted]);
    await lab.actor(lab.clientNamespace, ICMP_SENDER, [a.address6, message.toString("hex")]);
    const route = (slot: number): string =>
      sh("ip", "-n", a.domainNamespace(slot), "-6", "route", "get", b.address6);
    t.match(route(0), /mtu 1384/);
    t.notMatch(route(1), /mtu/);
    t.equal(await a.counter("icmp_error", 1), 1);
  });

  t.test("a restarted router leaves connections alone, and keeps to its addresses", async (t) => {
    const { id } = await a1.connect(b.address6, PEER_TCP);
    await a.start();
    t.equal(await a1.echo(id, "still here"), "still here");
    t.match(await a.call("domains"), [
      { domainLink: { address6: a.address6, gateway6: "fe80::1" } },
      { domainLink: { address6: a.address6 } },
    ]);
    await t.rejects(a.start({ serviceAddress6: "fd10:78::77" }), { code: "E_KERNEL", message: /destroy/ });
    await t.rejects(a.start({ serviceAddress6: undefined }), { code: "E_KERNEL", message: /destroy/ });
    await a.start();
  });

  t.test("an IPv6 address comes to a node that has no domains, and not to the relay", async (t) => {
    await b.call("detachDomain", 0);
    await b.call("destroy");
    await b.start({ serviceAddress6: undefined });
    t.equal(inNode(b, "sysctl", "-n", "net.ipv6.conf.all.forwarding").trim(), "0");
    await b.start();
    t.match(await b.attach(0, 1), { address6: b.address6 });
    const relay = {
      uplink: "uplink",
      serviceAddress: b.address,
      serviceAddress6: b.address6,
      pinDirectory: b.pins,
    };
    await t.rejects(b.host.call("open", relay, "relay"), { code: "E_NO_DATA_PATH", message: /IPv4 only/ });
  });

  t.test("destroy leaves nothing", async (t) => {
    const sysctl = (name: string): string => inNode(a, "sysctl", "-n", `net.ipv6.conf.${name}`).trim();
    t.equal(sysctl("all.forwarding"), "1");
    t.equal(sysctl("uplink.accept_ra"), "2", "a node that forwards still heeds routers' advertisements");
    await a.call("destroy");
    t.equal(sysctl("all.forwarding"), "0");
    t.equal(sysctl("uplink.accept_ra"), "1");
    t.equal(inNode(a, "nft", "list", "ruleset").trim(), "");
    t.notMatch(inNode(a, "ip", "-6", "route"), /fd56|vm-/);
    t.notMatch(inNode(a, "ip", "link"), /vm-/);
  });
}
