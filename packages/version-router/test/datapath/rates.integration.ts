/** What a domain may send and receive over the kernel's data path: real packets, and the arithmetic frame by frame. */
import { join } from "node:path";
import t from "tap";
import type { Test } from "tap";
import { BpfMap } from "../../datapath/kernel/bpf-map.ts";
import { DIRECTION, LAYOUT, MAPS } from "../../datapath/kernel/structs.ts";
import { serviceTag } from "../../mark/index.ts";
import { CLIENT, Lab, sh, whyNoLab } from "./lab.ts";
import type { LabNode } from "./lab.ts";
import { makePacket } from "./packet.ts";
import type { PacketPlan } from "./packet.ts";
import { makePacket6 } from "./packet6.ts";
import { boundCases } from "./rate/bounds.ts";
import { ACTION } from "./test-run.ts";
import type { TestRun } from "./test-run.ts";

const TALKER = new URL("rate/talker.ts", import.meta.url).pathname;
const US = "10.78.0.1";
const GATEWAY = "169.254.1.1";
const MANAGEMENT = "169.254.128.3";
const SLOT = 2;
const VERSION = 3;
const NS_PER_MS = 1_000_000n;
/** Less than what any case is away from its bounds. */
const LATE_NS = 15n * NS_PER_MS;
const { sends, receives } = DIRECTION;

const skip = whyNoLab();
if (skip === false) {
  const lab = await Lab.create(1);
  t.teardown(() => lab.close());
  t.test("real packets", async (t) => boundCases(t, lab, "kernel"));
  t.test("frame by frame", async (t) => frameCases(t, lab));
} else t.plan(0, skip);

type Direction = (typeof DIRECTION)[keyof typeof DIRECTION];

function keyOf(direction: Direction): number {
  return SLOT * 2 + direction;
}

/** The buckets of one domain, and the programs of its link, which nothing real passes meanwhile. */
class Bench {
  readonly node: LabNode;
  readonly ifindex: number;
  readonly #buckets: BpfMap<number, { lock: number; pad: undefined; paid_ns: bigint }>;

  constructor(node: LabNode) {
    this.node = node;
    const json = sh("ip", "-n", node.namespace, "-json", "link", "show", "dev", `vm-s${SLOT}`);
    this.ifindex = (JSON.parse(json) as [{ ifindex: number }])[0].ifindex;
    this.#buckets = new BpfMap(this.pin("maps", "buckets"), MAPS.buckets);
  }

  pin(kind: "maps" | "programs", name: string): string {
    return join(this.node.pins, `layout-${LAYOUT}`, kind, name);
  }

  paid(direction: Direction): bigint {
    return this.#buckets.get(keyOf(direction))?.paid_ns ?? -1n;
  }

  run(direction: Direction, frame: Buffer, gsoSize?: number): Promise<TestRun> {
    const program = this.pin("programs", direction === sends ? "tap_ingress" : "tap_egress");
    return this.node.host.call("testRun", program, frame, this.ifindex, gsoSize);
  }

  /** Nanoseconds of the bucket that a frame took, while it was far from full and from empty. */
  async cost(direction: Direction, frame: Buffer, gsoSize?: number): Promise<bigint> {
    const before = await this.#judge(direction, 100, frame, gsoSize);
    return this.paid(direction) - before;
  }

  /** Whether a frame passes that comes when so much is owed. */
  async passes(direction: Direction, owedMs: number, frame: Buffer): Promise<boolean> {
    const before = await this.#judge(direction, owedMs, frame);
    return this.paid(direction) !== before;
  }

  /** Has a frame come when so much is owed, and again when it came too late for that; returns when it is paid for. */
  async #judge(direction: Direction, owedMs: number, frame: Buffer, gsoSize?: number): Promise<bigint> {
    for (;;) {
      const startNs = process.hrtime.bigint();
      const paid_ns = startNs + BigInt(owedMs) * NS_PER_MS;
      this.#buckets.set(keyOf(direction), { lock: 0, pad: undefined, paid_ns });
      await this.run(direction, frame, gsoSize);
      if (process.hrtime.bigint() - startNs < LATE_NS) return paid_ns;
    }
  }

  limit(networkMbitPerS: number): Promise<unknown> {
    const domain = {
      slot: SLOT,
      service: "kv",
      tag: serviceTag("kv"),
      version: VERSION,
      link: "veth",
    } as const;
    return this.node.call("attachDomain", { ...domain, networkMbitPerS });
  }

  close(): void {
    this.#buckets.close();
  }
}

function datagram(bytes: number, change: Partial<PacketPlan> = {}): Buffer {
  const payload = Buffer.alloc(bytes - 42);
  return makePacket({
    protocol: "udp",
    from: US,
    to: CLIENT,
    fromPort: 20_000,
    toPort: 9,
    payload,
    ...change,
  });
}

/** Of a third domain, in which nobody is. */
async function frameCases(t: Test, lab: Lab): Promise<void> {
  const [node] = lab.nodes as [LabNode];
  await node.attach(SLOT, VERSION);
  const bench = new Bench(node);
  t.teardown(() => bench.close());
  await bench.limit(1);
  t.test("everything costs its bytes: 8000 ns each at 1 Mbit/s", (t) => costCases(t, bench));
  t.test("what is left for whom", (t) => burstCases(t, bench));
  t.test("two processors at once lose nothing", (t) => raceCase(t, lab, bench));
}

async function costCases(t: Test, bench: Bench): Promise<void> {
  const arp = Buffer.from(
    "ffffffffffff525400000001080600010800060400015254000000010a4e0001000000000000a9fe0101",
    "hex",
  );
  const ipv6 = Buffer.concat([
    Buffer.from("52540000000152540000000286dd", "hex"),
    makePacket6({ from: "fd10:78::1", to: "fd10:78::2", fromPort: 1, toPort: 2, payload: Buffer.alloc(30) }),
  ]);
  const [small, large] = [datagram(60), datagram(1500)];
  const frames: readonly (readonly [string, Direction, Buffer])[] = [
    ["a small datagram", sends, small],
    ["a large one", sends, large],
    ["ARP", sends, arp],
    ["IPv6, where there is none", sends, ipv6],
    ["what pretends to come from elsewhere", sends, datagram(100, { from: "10.78.0.9" })],
    ["a datagram to the domain", receives, datagram(700, { from: CLIENT, to: US })],
    ["one from the host", receives, datagram(700, { from: GATEWAY, to: MANAGEMENT })],
  ];
  for (const [name, direction, frame] of frames)
    t.equal(await bench.cost(direction, frame), BigInt(frame.length) * 8000n, name);
  // 1500 bytes in parts of 500: on the wire each has headers of 66.
  t.equal(await bench.cost(sends, large, 500), (1500n + 3n * 66n) * 8000n, "parts of a large packet");
  await bench.limit(3);
  t.equal(await bench.cost(sends, small), 160_000n, "60 bytes at 3 Mbit/s");
  t.equal(await bench.cost(sends, datagram(61)), 162_667n, "rounded up");
  await bench.limit(100_000);
  const before = process.hrtime.bigint();
  await bench.run(sends, small);
  const paid = bench.paid(sends);
  t.ok(paid >= before + 5n && paid <= process.hrtime.bigint() + 5n, "an empty past is not kept");
  await bench.limit(1);
}

/** At 1 Mbit/s 256 KiB take 2,097 ms; a quarter of them, beyond 1,572 ms, is the agent's. */
async function burstCases(t: Test, bench: Bench): Promise<void> {
  const ssh = { protocol: "tcp", payload: Buffer.alloc(0) } as const;
  const answer = datagram(60, { ...ssh, to: GATEWAY, fromPort: 22, toPort: 40_000 });
  const elsewhere = datagram(60, { ...ssh, fromPort: 22 });
  const question = datagram(60, { ...ssh, from: GATEWAY, to: MANAGEMENT, fromPort: 40_000, toPort: 22 });
  const other = datagram(60, { ...ssh, from: GATEWAY, to: MANAGEMENT, fromPort: 40_000, toPort: 80 });
  for (const [name, direction, frame, isAgents] of [
    ["a datagram out", sends, datagram(60), false],
    ["SSH to another host", sends, elsewhere, false],
    ["an answer of its SSH server", sends, answer, true],
    ["a datagram in", receives, datagram(60, { from: CLIENT, to: US }), false],
    ["another connection of the host", receives, other, false],
    ["the agent's SSH", receives, question, true],
  ] as const) {
    t.equal(await bench.passes(direction, 1500, frame), true, `${name} while there is room`);
    t.equal(await bench.passes(direction, 1900, frame), isAgents, `${name} when three quarters are used`);
    t.equal(await bench.passes(direction, 2200, frame), false, `${name} when all is used`);
  }
  t.equal((await bench.run(sends, datagram(60))).action, ACTION.drop);
  await bench.limit(100);
  // 250 ms are more than 256 KiB here.
  t.equal(await bench.passes(sends, 150, datagram(60)), true);
  t.equal(await bench.passes(sends, 230, datagram(60)), false);
  await bench.limit(1);
  t.equal(bench.paid(sends), 0n, "nothing is owed at a new rate");
}

async function raceCase(t: Test, lab: Lab, bench: Bench): Promise<void> {
  await bench.limit(1000);
  const frame = datagram(1000);
  const program = bench.pin("programs", "tap_ingress");
  const both = await Promise.all([1, 2].map(() => lab.actor(bench.node.namespace, TALKER)));
  const startNs = process.hrtime.bigint();
  const counts = await Promise.all(
    both.map((each) => each.call<number>("hammer", program, frame, bench.ifindex, 10_000)),
  );
  const passed = BigInt((counts[0] ?? 0) + (counts[1] ?? 0));
  t.ok(passed > 10_000n, `${passed} passed`);
  t.ok(bench.paid(sends) >= startNs + passed * 8000n, "each that passed was paid for");
  t.ok(bench.paid(sends) <= process.hrtime.bigint() + 250n * NS_PER_MS, "within a burst");
}
