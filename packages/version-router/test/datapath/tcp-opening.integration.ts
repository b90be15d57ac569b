/** Unusual ways to open a connection of peers: each is carried with its mark, or refused and counted. docs/LIMITS.md. */
import { spawn } from "node:child_process";
import { text } from "node:stream/consumers";
import { setTimeout as sleep } from "node:timers/promises";
import t from "tap";
import { connectEnds, grown, startScene } from "./corners/scene.ts";
import { PEER_BULK, PEER_TCP } from "./kv-fleet.ts";
import { sh, whyNoLab } from "./lab.ts";
import type { LabNode } from "./lab.ts";

/** Long enough to lose the first, short enough to let the second through: Linux repeats after one second. */
const LOST_MS = 650;
const FILLER = "00".repeat(1400);

const skip = whyNoLab();
t.setTimeout(300_000);
if (skip === false) await run();
else t.plan(0, skip);

/** The first packet on the node's uplink that fits, in tcpdump's words. */
function capture(namespace: string, filter: string): { isReady: Promise<void>; packet: Promise<string> } {
  const command = ["tcpdump", "-l", "-n", "-c", "1", "-i", "uplink", filter];
  const tcpdump = spawn("nsenter", [`--net=/run/netns/${namespace}`, ...command]);
  const isReady = new Promise<void>((resolve, reject) => {
    tcpdump.once("error", reject);
    tcpdump.stderr.on("data", (words: Buffer) => words.includes("listening") && resolve());
  });
  return { isReady, packet: text(tcpdump.stdout) };
}

async function run(): Promise<void> {
  const { lab, a, b, a1, ends } = await startScene();
  t.teardown(() => lab.close());
  const wire = a.namespace.replace(/n1$/, "wire");
  const { a1: asker, b1: asked } = ends;

  t.test("SYN cookies: the server keeps nothing, the mark and the options survive", async (t) => {
    asked.within("sysctl", "-qw", "net.ipv4.tcp_syncookies=2");
    const seen = capture(b.namespace, "tcp[tcpflags] & (tcp-syn|tcp-ack) == (tcp-syn|tcp-ack)");
    await seen.isReady;
    const { id, greeting, local } = await a1.connect(b.address, PEER_TCP);
    t.equal(greeting, `node2-v1 ${local}`);
    await a1.call("tcpClose", id);
    const options = /options \[(.*)\]/.exec(await seen.packet)?.[1] ?? "";
    t.match(options, /^mss 1444,sackOK,TS val \d+ ecr \d+,nop,wscale \d+,unknown-253 0x56521/);
    t.ok(await a1.call("tcpBulk", b.address, PEER_BULK, 8 << 20), "8 MiB are intact");
    t.equal(asked.statistic("TcpExt", "SyncookiesSent"), 2);
    t.equal(asked.statistic("TcpExt", "SyncookiesRecv"), 2);
    t.equal(await b.counter("marked", 1), 2, "every SYN-ACK is marked");
    asked.within("sysctl", "-qw", "net.ipv4.tcp_syncookies=1");
  });

  t.test("fast open: no room for the server's cookie beside the mark, so Linux does without", async (t) => {
    for (const end of [asker, asked]) end.within("sysctl", "-qw", "net.ipv4.tcp_fastopen=3");
    const listener = await asked.listen(7010, { fastOpenQueue: 16 });
    const refused = await grown(b, "no_room", 1, async () => {
      const fd = await asker.open();
      await asker.call("sendFast", fd, b.address, 7010, "once");
      const connection = await asked.call<number>("accept", listener);
      t.equal(await asked.call("receive", connection), "once");
      await asker.call("close", fd);
      t.equal(await asked.call("receive", connection), "", "and only once");
      await asked.call("close", connection);
    });
    t.equal(refused, 1, "the SYN-ACK with the cookie was refused, the next one had none");
  });

  t.test("data in the SYN is refused and counted", async (t) => {
    // 4: in the SYN, whether or not there is a cookie.
    asker.within("sysctl", "-qw", "net.ipv4.tcp_fastopen=5");
    const received = asked.statistic("Tcp", "PassiveOpens");
    const refused = await grown(a, "no_room", 1, async () => {
      const fd = await asker.open();
      await t.rejects(asker.call("sendFast", fd, b.address, 7010, "early"), /ECONNREFUSED/);
      await asker.call("close", fd);
    });
    t.equal(refused, 1);
    t.equal(asked.statistic("Tcp", "PassiveOpens"), received);
    for (const end of [asker, asked]) end.within("sysctl", "-qw", "net.ipv4.tcp_fastopen=1");
  });

  t.test("MD5 signatures leave no room for the mark: refused and counted, never delivered", async (t) => {
    const delivered = await grown(b, "delivered", 1, async () => {
      const refused = await grown(a, "no_room", 1, async () => {
        const fd = await asker.openImpatient("tcp", {}, 1500);
        await asker.call("signWithMd5", fd, b.address, PEER_TCP, "secret");
        // The reset is not signed, so this stack does not believe it, and asks again until it gives up.
        await t.rejects(asker.call("connect", fd, b.address, PEER_TCP), /EINPROGRESS|ETIMEDOUT/);
        await asker.call("close", fd);
      });
      t.ok(refused >= 1);
    });
    t.equal(delivered, 0);
  });

  t.test("MPTCP: no room in the SYN-ACK, so Linux falls back to TCP", async (t) => {
    const listener = await asked.listen(7011, {}, "mptcp");
    const refused = await grown(b, "no_room", 1, async () => {
      const fd = await asker.open({}, 0, "mptcp");
      await asker.call("connect", fd, b.address, 7011);
      const connection = await asked.call<number>("accept", listener);
      await asked.call("send", connection, "plain");
      t.equal(await asker.call("receive", fd), "plain");
      for (const [end, each] of [
        [asker, fd],
        [asked, connection],
      ] as const)
        await end.call("close", each);
    });
    t.ok(refused >= 1);
  });

  for (const [what, port, sender] of [
    ["SYN", "n1", a],
    ["SYN-ACK", "n2", b],
  ] as const satisfies readonly (readonly [string, string, LabNode])[]) {
    t.test(`a ${what} that was lost is marked again`, async (t) => {
      const marked = await grown(sender, "marked", 1, async () => {
        inWire("nft", "add table netdev lost");
        inWire(
          "nft",
          `add chain netdev lost arrivals { type filter hook ingress device ${port} priority 0; }`,
        );
        inWire("nft", "add rule netdev lost arrivals tcp flags & syn == syn drop");
        const connecting = a1.connect(b.address, PEER_TCP);
        await sleep(LOST_MS);
        inWire("nft", "delete table netdev lost");
        const { id, greeting, local } = await connecting;
        t.equal(greeting, `node2-v1 ${local}`);
        await a1.call("tcpClose", id);
      });
      t.ok(marked >= 2, `${marked} times`);
    });
  }

  function inWire(program: string, words: string): void {
    sh("nsenter", `--net=/run/netns/${wire}`, program, ...words.split(" "));
  }

  /** While packets need more than a second over the wire, so that two SYNs meet on their way. */
  async function slowly<T>(action: () => Promise<T>): Promise<T> {
    const ports = ["n1", "n2"] as const;
    for (const port of ports)
      inWire("tc", `qdisc add dev ${port} root tbf rate 20kbit burst 1600 latency 5s`);
    // One empties the bucket; the others hold up for more than a second what comes behind them.
    for (let fillers = 0; fillers < 4; fillers += 1) {
      await a.host.call("udpSend", b.address, 9, FILLER, a.address);
      await b.host.call("udpSend", a.address, 9, FILLER, b.address);
    }
    try {
      return await action();
    } finally {
      for (const port of ports) inWire("tc", `qdisc delete dev ${port} root`);
    }
  }

  t.test("both ends open at once: one connection", async (t) => {
    const [one, other] = [await asker.open({}, 7012), await asked.open({}, 7012)];
    const passive = asker.statistic("Tcp", "PassiveOpens") + asked.statistic("Tcp", "PassiveOpens");
    await slowly(() =>
      Promise.all([
        asker.call("connect", one, b.address, 7012),
        asked.call("connect", other, a.address, 7012),
      ]),
    );
    t.equal(
      asker.statistic("Tcp", "PassiveOpens") + asked.statistic("Tcp", "PassiveOpens"),
      passive,
      "nobody listened",
    );
    await asker.call("send", one, "there");
    t.equal(await asked.call("receive", other), "there");
    await asked.call("send", other, "back");
    t.equal(await asker.call("receive", one), "back");
    await asker.call("close", one);
    await asked.call("close", other);
  });

  t.test("both ends open at once in different versions: neither gets the other", async (t) => {
    const { b2: stranger } = ends;
    const [one, other] = [await asker.open({}, 7013), await stranger.open({}, 7013)];
    const outcomes = await slowly(() =>
      Promise.allSettled([
        asker.call("connect", one, b.address, 7013),
        stranger.call("connect", other, a.address, 7013),
      ]),
    );
    for (const outcome of outcomes)
      t.match(outcome, { status: "rejected", reason: { message: "ECONNREFUSED" } });
    const [atA, atB] = [await a.counter("tuple_in_use", 2), await b.counter("tuple_in_use", 1)];
    t.ok(atA >= 1 && atB >= 1, `counted at both nodes: ${atA}, ${atB}`);
    await asker.call("close", one);
    await stranger.call("close", other);
  });

  t.test("the same ports at once, in each version its own connection", async (t) => {
    const listeners = { b1: await ends.b1.listen(7014), b2: await ends.b2.listen(7014) };
    const first = await connectEnds(ends.a1, ends.b1, listeners.b1, 7014);
    const second = await connectEnds(ends.a2, ends.b2, listeners.b2, 7014);
    await ends.a1.call("send", first.asker, "one");
    await ends.a2.call("send", second.asker, "two");
    t.equal(await ends.b1.call("receive", first.asked), "one");
    t.equal(await ends.b2.call("receive", second.asked), "two");
  });

  t.test("nothing failed in the kernel", async (t) => {
    for (const node of [a, b]) t.equal(await node.counter("kernel_error"), 0);
  });
}
