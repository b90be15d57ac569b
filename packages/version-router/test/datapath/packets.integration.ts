/** Single packets through the programs, by BPF_PROG_TEST_RUN: every byte that comes out, and sums in both forms. */
import { join } from "node:path";
import t from "tap";
import { LAYOUT } from "../../datapath/kernel/structs.ts";
import { decodeUdpMark, encodeTcpMark, encodeUdpMark, findTcpMark, serviceTag } from "../../mark/index.ts";
import { CLIENT, Lab, sh, whyNoLab } from "./lab.ts";
import { finishChecksum, FLAGS, makePacket, parsePacket } from "./packet.ts";
import { ACTION } from "./test-run.ts";
import type { Mark } from "../../mark/index.ts";
import type { LabNode } from "./lab.ts";
import type { PacketPlan } from "./packet.ts";
import type { TestRun } from "./test-run.ts";

const US = "10.78.0.1";
const PEER = "10.78.0.2";
/** Where the sum of a datagram's former UDP header begins in a marked frame. */
const FORMER_UDP_AT = 14 + 20 + 16;
const TAG = serviceTag("kv");
const LINUX_OPTIONS = Buffer.from("020405b40402080a012345670000000001030307", "hex");
const v1: Mark = { tag: TAG, version: 1, advertisement: { version: 1, status: "running" } };

const skip = whyNoLab();
if (skip === false) await run();
else t.plan(0, skip);

function udp(change: Partial<PacketPlan> = {}): PacketPlan {
  return { protocol: "udp", from: US, to: PEER, fromPort: 20_000, toPort: 7001, ...change };
}

function syn(change: Partial<PacketPlan> = {}): PacketPlan {
  return {
    protocol: "tcp",
    from: US,
    to: PEER,
    fromPort: 20_000,
    toPort: 7000,
    flags: FLAGS.syn,
    sequence: 1000,
    options: LINUX_OPTIONS,
    ...change,
  };
}

async function run(): Promise<void> {
  const lab = await Lab.create(1);
  t.teardown(() => lab.close());
  const [node] = lab.nodes as [LabNode];
  await node.attach(0, 1);
  await node.call("setPorts", 0, { peer: ["tcp/7000", "udp/7001"], client: ["tcp/80"] });
  await node.call("setManagedPeers", [PEER]);
  await node.call("setClientPath", "kv", { kind: "direct", version: 1 });
  const ifindexOf = (name: string): number => {
    const json = sh("ip", "-n", node.namespace, "-json", "link", "show", "dev", name);
    return (JSON.parse(json) as [{ ifindex: number }])[0].ifindex;
  };
  const tap = ifindexOf("vm-s0");
  const uplink = ifindexOf("uplink");
  const pin = (program: string): string => join(node.pins, `layout-${LAYOUT}`, "programs", program);
  const send = (plan: PacketPlan, gsoSize?: number): Promise<TestRun> =>
    node.host.call("testRun", pin("tap_ingress"), makePacket(plan), tap, gsoSize);
  const receive = (frame: Uint8Array): Promise<TestRun> =>
    node.host.call("testRun", pin("uplink_ingress"), Buffer.from(frame), uplink);
  /** The same frame as the peer would send it to us. */
  const fromPeer = (plan: PacketPlan): PacketPlan => ({ ...plan, from: PEER, to: US });

  t.test("a datagram becomes the golden bytes, its sum stays right", async (t) => {
    for (let bytes = 0; bytes < 40; bytes += 1) {
      const payload = Buffer.from(Array.from({ length: bytes }, (_, at) => (at * 37 + bytes * 101) & 0xff));
      const { action, frame } = await send(udp({ payload }));
      const packet = parsePacket(frame);
      t.equal(action, ACTION.redirect);
      t.ok(packet.ipChecksumIsRight && packet.checksumIsRight, `${bytes} bytes`);
      t.same(decodeUdpMark(packet.payload), v1);
      t.same(packet.payload.subarray(0, 14), encodeUdpMark(v1).subarray(0, 14));
      t.same(packet.payload.subarray(16), payload);
    }
  });

  t.test("a sum left to the network card comes out right, finished or not", async (t) => {
    for (let bytes = 0; bytes < 40; bytes += 1) {
      const payload = Buffer.from(Array.from({ length: bytes }, (_, at) => (at * 91 + bytes * 53) & 0xff));
      const plan = fromPeer(udp({ payload, checksum: "partial" }));
      const { frame } = await send({ ...plan, from: US, to: PEER });
      t.ok(
        parsePacket(finishChecksum(frame, FORMER_UDP_AT, 6)).checksumIsRight,
        `${bytes} bytes on the wire`,
      );
    }
  });

  t.test("the header comes off again: complete, finished by the card, unfinished, none", async (t) => {
    for (const checksum of ["complete", "partial", "none"] as const) {
      for (const bytes of [0, 1, 2, 3, 100, 101]) {
        const plan = udp({ payload: Buffer.alloc(bytes, 0xa7), checksum });
        const marked = (await send(plan)).frame;
        const sent = swapAddresses(marked);
        const wanted = parsePacket(makePacket(fromPeer(plan)));
        const stripped = await receive(sent);
        t.equal(stripped.action, ACTION.redirect);
        t.match(parsePacket(stripped.frame), { checksum: wanted.checksum, ipChecksumIsRight: true });
        t.same(parsePacket(stripped.frame).payload, plan.payload);
        if (checksum !== "partial") continue;
        const finished = parsePacket((await receive(finishChecksum(sent, FORMER_UDP_AT, 6))).frame);
        t.ok(finished.checksumIsRight, `${bytes} bytes, finished by the card`);
      }
    }
  });

  t.test("a SYN grows by the option, its sum stays right", async (t) => {
    const { action, frame } = await send(syn());
    const packet = parsePacket(frame);
    t.equal(action, ACTION.redirect);
    t.ok(packet.ipChecksumIsRight && packet.checksumIsRight);
    t.same(packet.options, Buffer.concat([LINUX_OPTIONS, encodeTcpMark(v1)]));
    t.same(findTcpMark(packet.options), v1);
    t.equal(frame.length, 14 + 20 + 56);
  });

  t.test("a SYN with data or full options is answered by a reset", async (t) => {
    for (const plan of [
      syn({ fromPort: 20_002, payload: Buffer.from("early") }),
      syn({ fromPort: 20_003, options: Buffer.alloc(28, 1) }),
    ]) {
      const { action, frame } = await send(plan);
      t.equal(action, ACTION.redirect);
      t.match(parsePacket(frame), {
        from: PEER,
        to: US,
        fromPort: 7000,
        toPort: plan.fromPort,
        flags: FLAGS.rst | FLAGS.ack,
        sequence: 0,
        acknowledgement: 1001 + (plan.payload?.length ?? 0),
        ipChecksumIsRight: true,
        checksumIsRight: true,
      });
      t.ok(parsePacket(finishChecksum(frame, 14 + 20, 16)).checksumIsRight, "also when the card finishes it");
    }
  });

  t.test("a peer's answer must bear the same version", async (t) => {
    const answers: readonly (readonly [string, Mark | undefined])[] = [
      ["wrong_version", { ...v1, version: 2 }],
      ["wrong_version", { ...v1, tag: TAG ^ 1 }],
      ["option_stripped", undefined],
    ];
    for (const [index, [verdict, mark]] of answers.entries()) {
      const fromPort = 20_010 + index;
      await send(syn({ fromPort }));
      const options =
        mark === undefined ? LINUX_OPTIONS : Buffer.concat([LINUX_OPTIONS, encodeTcpMark(mark)]);
      const answer = makePacket({
        ...fromPeer(syn({ fromPort: 7000, toPort: fromPort, options })),
        flags: FLAGS.syn | FLAGS.ack,
        acknowledgement: 1001,
      });
      const before = await node.counter(verdict, 1);
      const first = parsePacket((await receive(answer)).frame);
      t.match(first, {
        from: PEER,
        to: US,
        flags: FLAGS.rst | FLAGS.ack,
        acknowledgement: 1001,
        checksumIsRight: true,
      });
      t.equal(await node.counter(verdict, 1), before + 1);
      const second = parsePacket((await receive(answer)).frame);
      t.match(second, {
        from: US,
        to: PEER,
        flags: FLAGS.rst | FLAGS.ack,
        sequence: 1001,
        checksumIsRight: true,
      });
    }
  });

  t.test("segments of no connection: the domain is told, the network left to the host", async (t) => {
    const { action, frame } = await send(syn({ fromPort: 20_020, flags: FLAGS.ack, acknowledgement: 77 }));
    t.equal(action, ACTION.redirect);
    t.match(parsePacket(frame), { from: PEER, to: US, flags: FLAGS.rst | FLAGS.ack, sequence: 77 });
    const stray = makePacket(fromPeer(syn({ fromPort: 7000, toPort: 20_021, flags: FLAGS.ack })));
    t.equal((await receive(stray)).action, ACTION.ok);
    const reset = await send(syn({ fromPort: 20_022, flags: FLAGS.rst }));
    t.equal(reset.action, ACTION.drop, "a reset is never answered by one");
  });

  t.test("a forged reset does not hide a client's connection from the count", async (t) => {
    const client = { from: CLIENT, to: US, fromPort: 30_000, toPort: 80 };
    await receive(makePacket(syn({ ...client })));
    await receive(makePacket(syn({ ...client, flags: FLAGS.ack })));
    t.equal(await node.call("directConnections", 0), 1);
    await receive(makePacket(syn({ ...client, flags: FLAGS.rst })));
    t.equal(await node.call("directConnections", 0), 0);
    await receive(makePacket(syn({ ...client, flags: FLAGS.ack, payload: Buffer.from("still here") })));
    t.equal(await node.call("directConnections", 0), 1);
    await receive(makePacket(syn({ ...client, flags: FLAGS.ack | FLAGS.fin })));
    t.equal(await node.call("directConnections", 0), 1, "half closed is open");
    await send(syn({ from: US, to: CLIENT, fromPort: 80, toPort: 30_000, flags: FLAGS.ack | FLAGS.fin }));
    t.equal(await node.call("directConnections", 0), 0);
  });

  t.test("datagrams to be cut by the card are refused", async (t) => {
    const { action } = await send(udp({ payload: Buffer.alloc(1200) }), 500);
    t.equal(action, ACTION.drop);
    t.equal(await node.counter("offloaded", 1), 1);
  });

  t.test("a mark among a domain's own options is refused", async (t) => {
    const options = Buffer.concat([LINUX_OPTIONS, encodeTcpMark({ ...v1, version: 2 })]);
    t.equal((await send(syn({ fromPort: 20_030, options }))).action, ACTION.drop);
    t.equal((await send(syn({ fromPort: 20_031, toPort: 9, to: CLIENT, options }))).action, ACTION.drop);
  });

  t.test("cut and contradictory packets do no harm", async (t) => {
    const whole = makePacket(udp({ payload: Buffer.from(encodeUdpMark(v1)) }));
    // BPF_PROG_TEST_RUN itself refuses less than an IP header.
    for (let bytes = 34; bytes < whole.length; bytes += 1) {
      const cut = whole.subarray(0, bytes);
      const sent: TestRun = await node.host.call("testRun", pin("tap_ingress"), Buffer.from(cut), tap);
      t.equal(sent.action, ACTION.drop, `${bytes} bytes from a domain`);
      await receive(swapAddresses(cut));
    }
    const longer = Buffer.from(whole);
    longer.writeUInt16BE(60_000, 14 + 20 + 4);
    const { action }: TestRun = await node.host.call("testRun", pin("tap_ingress"), longer, tap);
    t.equal(action, ACTION.drop, "a UDP length beyond the packet");
    t.ok((await node.counter("malformed", 1)) > 0);
    t.equal(await node.counter("kernel_error"), 0);
  });
}

/** A frame of ours as the peer would have sent it: sums do not change when two addresses change places. */
function swapAddresses(frame: Buffer): Buffer {
  const swapped = Buffer.from(frame);
  frame.copy(swapped, 26, 30, 34);
  frame.copy(swapped, 30, 26, 30);
  return swapped;
}
