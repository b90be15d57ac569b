/** What becomes of connections of peers: ends, resets, silence, and ports that are used again. docs/LIMITS.md. */
import { join } from "node:path";
import t from "tap";
import { BpfMap } from "../../datapath/kernel/bpf-map.ts";
import { LAYOUT, MAPS } from "../../datapath/kernel/structs.ts";
import { connectEnds, grown, startScene } from "./corners/scene.ts";
import { PEER_TCP, PEER_UDP } from "./kv-fleet.ts";
import { whyNoLab } from "./lab.ts";
import type { LabNode } from "./lab.ts";

const PORT = 7010;
const LOCAL_PORTS = { again: 20_001, reset: 20_010, lost: { client: 20_020, server: 20_021 } } as const;
/** The table holds 65,536, and shares them out among processors. */
const CROWD = 200_000;

const skip = whyNoLab();
t.setTimeout(300_000);
if (skip === false) await run();
else t.plan(0, skip);

async function run(): Promise<void> {
  const { lab, a, b, a1, ends } = await startScene();
  t.teardown(() => lab.close());
  const { a1: asker, b1: asked, a2: other } = ends;
  const listener = await asked.listen(PORT);
  await ends.b2.listen(PORT);

  t.test("the same version may use the same ports again at once, another version may not", async (t) => {
    for (let round = 0; round < 5; round += 1) {
      const { asker: fd, asked: connection } = await connectEnds(
        asker,
        asked,
        listener,
        PORT,
        LOCAL_PORTS.again,
      );
      // The server closes first, so that it has the TIME_WAIT and the client its port.
      await asked.call("close", connection);
      t.equal(await asker.call("receive", fd), "");
      await asker.call("close", fd);
    }
    const refused = await grown(a, "tuple_in_use", 2, async () => {
      const fd = await other.open({ reuseAddress: 1 }, LOCAL_PORTS.again);
      await t.rejects(other.call("connect", fd, b.address, PORT), /ECONNREFUSED/);
      await other.call("close", fd);
    });
    t.equal(refused, 1);
  });

  for (const [index, who] of (["client", "server"] as const).entries()) {
    t.test(`a reset by the ${who} reaches the other end and ends the connection`, async (t) => {
      const port = LOCAL_PORTS.reset + index;
      const { asker: fd, asked: connection } = await connectEnds(asker, asked, listener, PORT, port);
      const [from, mine, to, theirs] =
        who === "client" ? [asker, fd, asked, connection] : [asked, connection, asker, fd];
      await from.call("send", mine, "last words");
      t.equal(await to.call("receive", theirs), "last words");
      await from.call("reset", mine);
      await t.rejects(to.call("receive", theirs), /ECONNRESET/);
      await to.call("close", theirs);
      const refused = await grown(a, "tuple_in_use", 2, async () => {
        const stranger = await other.open({ reuseAddress: 1 }, port);
        await t.rejects(other.call("connect", stranger, b.address, PORT), /ECONNREFUSED/);
        await other.call("close", stranger);
      });
      t.equal(refused, 1, "its ports are quarantined for other versions");
      const again = await connectEnds(asker, asked, listener, PORT, port);
      await asker.call("send", again.asker, "again");
      t.equal(await asked.call("receive", again.asked), "again", "and free for its own");
    });

    t.test(`half closed by the ${who}, the other direction goes on`, async (t) => {
      const { asker: fd, asked: connection } = await connectEnds(asker, asked, listener, PORT);
      const [from, mine, to, theirs] =
        who === "client" ? [asker, fd, asked, connection] : [asked, connection, asker, fd];
      await from.call("endWriting", mine);
      t.equal(await to.call("receive", theirs), "");
      for (let message = 0; message < 20; message += 1) {
        await to.call("send", theirs, `message ${message}`);
        t.equal(await from.call("receive", mine), `message ${message}`);
      }
      await to.call("close", theirs);
      t.equal(await from.call("receive", mine), "");
      await from.call("close", mine);
      for (const node of [a, b]) t.equal(await node.counter("no_flow"), 0);
    });
  }

  for (const who of ["client", "server"] as const) {
    t.test(`the ${who} lost its memory: the same ports serve a new connection`, async (t) => {
      const port = LOCAL_PORTS.lost[who];
      const { asker: fd, asked: connection } = await connectEnds(asker, asked, listener, PORT, port);
      await asker.call("send", fd, "before");
      t.equal(await asked.call("receive", connection), "before");
      if (who === "client") await asker.call("vanish", fd);
      else {
        await asked.call("vanish", connection);
        await asker.call("send", fd, "anybody?");
        await t.rejects(asker.call("receive", fd), /ECONNRESET/);
        await asker.call("close", fd);
      }
      const again = await connectEnds(asker, asked, listener, PORT, port);
      await asker.call("send", again.asker, "after");
      t.equal(await asked.call("receive", again.asked), "after");
      if (who === "client")
        await t.rejects(asked.call("receive", connection), /ECONNRESET/, "the old end is told");
    });
  }

  t.test("keepalive probes pass while nobody speaks, and tell when the peer is gone", async (t) => {
    const fd = await asker.open({ keepAlive: 1, keepIdleS: 1, keepIntervalS: 1, keepCount: 3 });
    await asker.call("connect", fd, b.address, PORT);
    const connection = await asked.call<number>("accept", listener);
    const probes = await grown(
      a,
      "peer_tcp_out",
      1,
      () => new Promise((resolve) => setTimeout(resolve, 3500)),
    );
    t.ok(probes >= 2, `${probes} probes`);
    await asked.call("send", connection, "alive");
    t.equal(await asker.call("receive", fd), "alive");
    asked.within("ip", "link", "set", "eth0", "down");
    await t.rejects(asker.call("receive", fd), /ETIMEDOUT/);
    asked.within("ip", "link", "set", "eth0", "up");
    asked.within("ip", "route", "add", "169.254.1.1", "dev", "eth0", "scope", "link");
    asked.within("ip", "route", "add", "default", "via", "169.254.1.1");
    t.match((await a1.connect(b.address, PEER_TCP)).greeting, /^node2-v1 /);
  });

  t.test("a datagram without a checksum arrives, and stays without", async (t) => {
    const fd = await asker.open({ noChecksum: 1 }, 0, "udp");
    await asker.call("connect", fd, b.address, PEER_UDP);
    for (const text of ["", "a", "odd", "even", "x".repeat(1456)]) {
      await asker.call("send", fd, text);
      const name = await asker.call<string>("name", fd);
      t.match(await asker.call<string>("receive", fd), `node2-v1 ${name} ${text.length} `, "and is answered");
    }
    t.equal(asked.statistic("Udp", "InCsumErrors"), 0);
  });

  t.test("datagrams that the kernel should cut (UDP_SEGMENT) are refused and counted", async (t) => {
    const fd = await asker.openImpatient("udp", { segmentBytes: 500 }, 500);
    await asker.call("connect", fd, b.address, PEER_UDP);
    const arrived = asked.statistic("Udp", "InDatagrams");
    const refused = await grown(a, "offloaded", 1, async () => {
      await asker.call("send", fd, "x".repeat(1200));
      await t.rejects(asker.call("receive", fd), /EAGAIN/);
    });
    t.equal(refused, 1);
    t.equal(asked.statistic("Udp", "InDatagrams"), arrived, "nothing of it arrived");
    await asker.call("send", fd, "x".repeat(500));
    t.match(await asker.call<string>("receive", fd), /^node2-v1 /, "one that needs no cutting does");
  });

  t.test("a connection that a full table forgot is reset when it speaks, at either end", async (t) => {
    const first = await connectEnds(asker, asked, listener, PORT);
    const second = await connectEnds(asker, asked, listener, PORT);
    // Only proven connections are in this table: a word from each end proves them.
    for (const { asker: fd, asked: connection } of [first, second]) {
      await asker.call("send", fd, "here");
      t.equal(await asked.call("receive", connection), "here");
      await asked.call("send", connection, "here");
      t.equal(await asker.call("receive", fd), "here");
    }
    crowdOut(a);
    const refused = await grown(a, "no_flow", 1, async () => {
      await asker.call("send", first.asker, "still there?");
      await t.rejects(asker.call("receive", first.asker), /ECONNRESET/);
    });
    t.ok(refused >= 1);
    // From outside nobody knows whose it was: the node itself answers that it has no such connection.
    await asked.call("send", second.asked, "still there?");
    await t.rejects(asked.call("receive", second.asked), /ECONNRESET/);
    t.match((await a1.connect(b.address, PEER_TCP)).greeting, /^node2-v1 /, "new ones find room");
  });

  t.test("nothing failed in the kernel", async (t) => {
    for (const node of [a, b]) t.equal(await node.counter("kernel_error"), 0);
  });
}

/**
 * More connections than the node's table of proven ones holds, newer than those that are there. Each is written twice:
 * the kernel holds those that were used only once for less, and they would push each other out.
 */
function crowdOut(node: LabNode): void {
  const flows = new BpfMap(join(node.pins, `layout-${LAYOUT}`, "maps", "flows"), MAPS.flows);
  const [like] = flows.entries();
  if (like === undefined) throw new Error("no connection is proven");
  const [key, flow] = like;
  for (let number = 0; number < CROWD; number += 1) {
    const another = { ...key, remote_port: number & 0xffff, local_port: 40_000 + (number >>> 16) };
    for (const use of [flow, flow]) flows.set(another, use);
  }
  flows.close();
}
