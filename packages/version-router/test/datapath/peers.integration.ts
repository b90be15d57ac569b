/** Traffic between peers: each version meets only its own, under true addresses, and strangers are refused. */
import { spawn } from "node:child_process";
import { createInterface } from "node:readline";
import t from "tap";
import { decodeCapture, encodeUdpMark, serviceTag } from "../../mark/index.ts";
import { PEER_BULK, PEER_TCP, PEER_UDP, startFleet } from "./kv-fleet.ts";
import { CLIENT, sh, whyNoLab } from "./lab.ts";
import { makePacket } from "./packet.ts";
import type { Actor } from "./actor-handle.ts";

const ICMP_SENDER = new URL("icmp-sender.ts", import.meta.url).pathname;

const skip = whyNoLab();
if (skip === false) await run();
else t.plan(0, skip);

async function run(): Promise<void> {
  const { lab, a, b, a1, a2, b1, b2 } = await startFleet();
  t.teardown(() => lab.close());
  const pairs: readonly (readonly [string, Actor, string, string])[] = [
    ["v1, a to b", a1, b.address, "node2-v1 10.78.0.1"],
    ["v2, a to b", a2, b.address, "node2-v2 10.78.0.1"],
    ["v1, b to a", b1, a.address, "node1-v1 10.78.0.2"],
    ["v2, b to a", b2, a.address, "node1-v2 10.78.0.2"],
  ];

  t.test("TCP reaches the same version under the true address", async (t) => {
    for (const [name, from, to, expected] of pairs) {
      const { id, greeting, local } = await from.connect(to, PEER_TCP);
      t.equal(greeting, `${expected}:${local.split(":")[1]}`, name);
      t.equal(await from.echo(id, "hello"), "hello");
      await from.call("tcpClose", id);
    }
  });

  t.test("UDP reaches the same version, up to the MTU", async (t) => {
    for (const [name, from, to, expected] of pairs) {
      for (const bytes of [0, 1, 2, 3, 19, 20, 33, 512, 1455, 1456]) {
        t.match(
          await from.udp(to, PEER_UDP, bytes),
          new RegExp(`^${expected}:\\d+ intact$`),
          `${name}: ${bytes} bytes`,
        );
      }
    }
  });

  t.test("UDP from a fixed port keeps it", async (t) => {
    t.equal(await a1.udp(b.address, PEER_UDP, 100, 20_000), "node2-v1 10.78.0.1:20000 intact");
  });

  t.test("fragments of datagrams are refused and counted", async (t) => {
    t.equal(await a1.udp(b.address, PEER_UDP, 3000, 0, 300), "");
    t.ok((await a.counter("fragment", 1)) > 0);
  });

  t.test(
    "tcpdump on the wire, decoded by the recipe of docs/WIRE.md",
    { skip: whyNo("tcpdump") },
    async (t) => {
      const filter = "udp or tcp[tcpflags] & tcp-syn != 0";
      const command = ["tcpdump", "-l", "-n", "-x", "-c", "4", "-i", "uplink", filter];
      const tcpdump = spawn("nsenter", [`--net=/run/netns/${a.namespace}`, ...command]);
      const failed = new Promise((_, reject) => tcpdump.once("error", reject));
      const isReady = new Promise<void>((resolve) => {
        tcpdump.stderr.on("data", (text: Buffer) => text.includes("listening") && resolve());
      });
      await Promise.race([isReady, failed]);
      const lines: string[] = [];
      const decoding = (async () => {
        const input = createInterface({ input: tcpdump.stdout });
        for await (const line of decodeCapture(input)) lines.push(line.replace(/^\S+ /, ""));
      })();
      await a2.udp(b.address, PEER_UDP, 20, 20_050);
      await a2.connect(b.address, PEER_TCP, 20_051);
      await decoding;
      const said = "tag 0x44a9 version 2, advertises 2 running";
      t.same(lines, [
        `10.78.0.1:20050 > 10.78.0.2:7001 udp: ${said}`,
        `10.78.0.2:7001 > 10.78.0.1:20050 udp: ${said}`,
        `10.78.0.1:20051 > 10.78.0.2:7000 tcp SYN: ${said}`,
        `10.78.0.2:7000 > 10.78.0.1:20051 tcp SYN-ACK: ${said}`,
      ]);
    },
  );

  t.test("many connections of both versions at once never cross", async (t) => {
    const greetings = await Promise.all(
      Array.from({ length: 100 }, async (_, index) => {
        const from = index % 2 === 0 ? a1 : a2;
        const { id, greeting } = await from.connect(b.address, PEER_TCP);
        await from.call("tcpClose", id);
        return greeting.startsWith(`node2-v${(index % 2) + 1} `);
      }),
    );
    t.same(new Set(greetings), new Set([true]));
  });

  for (const [what, change] of [
    ["with segmentation offload", () => undefined],
    ["with checksums and segments made in software", () => setOffload("off")],
  ] as const) {
    t.test(`large transfers and datagrams are intact ${what}`, { skip: whyNo("ethtool") }, async (t) => {
      change();
      t.ok(await a1.call("tcpBulk", b.address, PEER_BULK, 32 << 20));
      t.ok(await b2.call("tcpBulk", a.address, PEER_BULK, 32 << 20));
      for (const bytes of [0, 1, 2, 7, 100, 1456]) {
        t.match(await a2.udp(b.address, PEER_UDP, bytes), /^node2-v2 .* intact$/, `${bytes} bytes`);
      }
    });
  }

  function setOffload(state: "on" | "off"): void {
    for (const namespace of [a.namespace, b.namespace]) {
      sh(
        "nsenter",
        `--net=/run/netns/${namespace}`,
        "ethtool",
        "-K",
        "uplink",
        "tx",
        state,
        "tso",
        state,
        "gso",
        state,
      );
    }
    const domain = `--net=/run/netns/${a.domainNamespace(0)}`;
    sh("nsenter", domain, "ethtool", "-K", "eth0", "tx", state, "tso", state, "gso", state);
  }

  t.test("a SYN and a datagram of a version unknown here are refused, and heard of", async (t) => {
    const a3 = await a.domain(2, 3);
    await a.call("setPorts", 2, { peer: [`tcp/${PEER_TCP}`, `udp/${PEER_UDP}`], client: [] });
    await a.call("setAdvertisement", serviceTag("kv"), { version: 4, status: "available" });
    await t.rejects(a3.connect(b.address, PEER_TCP), /ECONNREFUSED/);
    t.equal(await a3.udp(b.address, PEER_UDP, 20, 0, 300), "");
    t.equal(await b.counter("unknown_version", 0), 2);
    const heard = (await b.call("heard")).filter((mark) => mark.senderVersion === 3);
    t.match(heard, [
      { peerAddress: a.address, tag: serviceTag("kv"), advertisement: { version: 4, status: "available" } },
    ]);
    t.ok(Math.abs(Date.now() - (heard[0]?.lastHeardMs ?? 0)) < 60_000);
    await a.call("setAdvertisement", serviceTag("kv"), undefined);
    await a.call("detachDomain", 2);
  });

  t.test("what comes unmarked to a peer port is refused", async (t) => {
    await t.rejects(lab.client.connect(b.address, PEER_TCP), /ECONNREFUSED/);
    t.equal(await lab.client.udp(b.address, PEER_UDP, 20, 0, 300), "");
    t.equal(await b.counter("unmarked"), 2);
  });

  t.test("a peer without Version Manager is never spoken to", async (t) => {
    await lab.client.call("tcpServe", PEER_TCP, "stranger");
    await lab.client.call("udpServe", PEER_UDP, "stranger");
    await t.rejects(a1.connect(CLIENT, PEER_TCP), /ECONNREFUSED/, "answers the SYN without a mark");
    t.equal(await a1.udp(CLIENT, PEER_UDP, 20, 0, 300), "");
    t.equal(await a.counter("unmarked", 1), 1);
    t.equal(await a.counter("unmanaged", 1), 1);
  });

  t.test("two versions cannot share a 5-tuple", async (t) => {
    const first = await a1.connect(b.address, PEER_TCP, 20_001);
    await t.rejects(a2.connect(b.address, PEER_TCP, 20_001), /ECONNREFUSED/);
    t.equal(await a.counter("tuple_in_use", 2), 1);
    t.equal(await a1.echo(first.id, "mine"), "mine");
    await a1.call("tcpClose", first.id);
    const soon = a2.connect(b.address, PEER_TCP, 20_001);
    await t.rejects(soon, /ECONNREFUSED/, "for a minute stray segments of the first may come");
  });

  t.test(
    "a path too narrow for a datagram: its sender learns what is left beside the mark, nobody else",
    async (t) => {
      for (const domain of [a1, a2]) await domain.call("udpServe", 20_005, "sender");
      const mark = encodeUdpMark({ tag: serviceTag("kv"), version: 1, advertisement: undefined });
      const quoted = makePacket({
        protocol: "udp",
        from: a.address,
        to: b.address,
        fromPort: 20_005,
        toPort: PEER_UDP,
        payload: Buffer.concat([mark, Buffer.alloc(1400)]),
      }).subarray(14, 14 + 20 + 8 + mark.length);
      // Destination unreachable, fragmentation needed, next hop's MTU 1000.
      const message = Buffer.concat([Buffer.from("03040000000003e8", "hex"), quoted]);
      await lab.actor(lab.clientNamespace, ICMP_SENDER, [a.address, message.toString("hex")]);
      const route = (slot: number): string =>
        sh("ip", "-n", a.domainNamespace(slot), "route", "get", b.address);
      t.match(route(0), /mtu 984/);
      t.notMatch(route(1), /mtu/);
      t.equal(await a.counter("icmp_error", 1), 1);
    },
  );

  t.test("a port that the version has not registered is refused", async (t) => {
    await b.call("setPorts", 0, { peer: [`udp/${PEER_UDP}`], client: [] });
    await t.rejects(a1.connect(b.address, PEER_TCP), /ECONNREFUSED/);
    t.match((await a2.connect(b.address, PEER_TCP)).greeting, /^node2-v2 /);
    t.equal(await b.counter("port_not_registered", 1), 1);
  });

  t.test("nothing failed in the kernel", async (t) => {
    for (const node of [a, b]) t.equal(await node.counter("kernel_error"), 0);
  });
}

function whyNo(tool: string): string | false {
  try {
    sh(tool, "--version");
    return false;
  } catch {
    return `needs ${tool}: apt-get install ${tool}`;
  }
}
