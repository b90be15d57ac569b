/**
 * Plays the hostile network of one node: a flood of packets through the uplink's program and its real maps, by
 * BPF_PROG_TEST_RUN (so no domain gets them, nor answers). Started as an actor, see ../actor-handle.ts.
 */
import { BpfMap } from "../../../datapath/kernel/bpf-map.ts";
import { MAPS } from "../../../datapath/kernel/structs.ts";
import { encodeTcpMark, encodeUdpMark } from "../../../mark/index.ts";
import { Programs } from "../differential/programs.ts";
import { Random } from "../differential/random.ts";
import { FLAGS, makePacket } from "../packet.ts";
import type { MapName } from "../../../datapath/kernel/pins.ts";
import type { Mark } from "../../../mark/index.ts";
import type { PacketPlan } from "../packet.ts";

/** What the packets are: each opens something as far as one packet of a stranger can. */
export type Flood = "syn" | "syn-and-guess" | "marked-syn" | "datagram" | "random-mark";

export interface FloodTask {
  readonly pinDirectory: string;
  readonly uplink: number;
  readonly to: string;
  readonly clientPort: number;
  readonly peerPort: number;
  readonly mark: Mark;
  readonly flood: Flood;
  readonly count: number;
}

function plans(random: Random, task: FloodTask): readonly PacketPlan[] {
  const from = `10.${200 + random.below(50)}.${random.below(256)}.${random.below(256)}`;
  const base = { from, to: task.to, fromPort: 1024 + random.below(60_000), toPort: task.clientPort };
  const syn: PacketPlan = { ...base, protocol: "tcp", flags: FLAGS.syn, sequence: random.word() };
  const strange: Mark = {
    tag: 1 + random.below(65_535),
    version: 1 + random.below(1_000_000),
    advertisement: { version: 1 + random.below(1_000_000), status: "available" },
  };
  switch (task.flood) {
    case "syn":
      return [syn];
    case "syn-and-guess":
      return [syn, { ...syn, flags: FLAGS.ack, acknowledgement: random.word() }];
    case "marked-syn":
      return [{ ...syn, toPort: task.peerPort, options: encodeTcpMark(task.mark) }];
    case "datagram":
      return [{ ...base, protocol: "udp", payload: Buffer.from("?") }];
    case "random-mark": {
      const mark = random.chance(0.5) ? strange : { ...strange, tag: task.mark.tag };
      return [{ ...base, protocol: "udp", toPort: task.peerPort, payload: encodeUdpMark(mark) }];
    }
  }
}

function run(task: FloodTask): void {
  const programs = new Programs(task.pinDirectory);
  const random = new Random(task.count);
  for (let sent = 0; sent < task.count; sent += 1) {
    for (const plan of plans(random, task)) {
      const frame = makePacket(plan);
      programs.run({ kind: "packet", program: "uplink_ingress", ifindex: task.uplink, gsoSize: 0, frame });
    }
  }
  programs.close();
}

/** How many entries a pinned map holds. */
function size(pin: string, name: MapName): number {
  const map = new BpfMap<unknown, unknown>(pin, MAPS[name]);
  try {
    return map.entries().length;
  } finally {
    map.close();
  }
}

const calls: Record<string, (...args: never[]) => unknown> = { run, size };

process.on("message", ({ id, method, args }: { id: number; method: string; args: never[] }) => {
  try {
    process.send?.({ id, result: calls[method]?.(...args) });
  } catch (error) {
    process.send?.({ id, error: String(error) });
  }
});
process.on("disconnect", () => process.exit(0));
process.send?.({ id: 0 });
