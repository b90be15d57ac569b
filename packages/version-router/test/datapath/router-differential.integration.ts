/**
 * The real programs against a plain model of their decisions: random, broken and hostile packets in random order, with
 * the daemon's changes between them. Same action, same bytes, same counters, connections and marks heard; and a judge
 * that asks no model sees that nothing crosses versions. `scripts/test --only router-differential --cases 10000000`
 * runs more, `SEED=7` others.
 */
import t from "tap";
import { NO_REPORT, sumReports } from "./differential/campaign.ts";
import { kernelMemory } from "./differential/kernel-memory.ts";
import { Lab, sh, whyNoLab } from "./lab.ts";
import type { Report } from "./differential/campaign.ts";
import type { Task } from "./differential/worker.ts";
import type { LabNode } from "./lab.ts";

const WORKER = new URL("differential/worker.ts", import.meta.url).pathname;
const CASES = Number(process.env["CASES"] ?? (process.env["FULL"] === "1" ? 10_000_000 : 1_000_000));
const SEED = Number(process.env["SEED"] ?? 20_261_121);
const RAW_SOCKETS = new URL("corners/raw-sockets.ts", import.meta.url).pathname;
const SLOTS = [0, 1, 2, 3];
/** The campaign is asked for in parts, so that it can tell how far it is. */
const PART = 100_000;
/** Cases after which it says how far it is. */
const PROGRESS = 1_000_000;
/** Seeds of one part must not be those of another. */
const SEEDS_PER_PART = 100_000;
/** Sockets that read nothing: each holds a few hundred packets. */
const HOLDERS = 40;
const HELD_FROM = 30_000;
const HELD_EACH = 200;
/** What the rest of the machine may take meanwhile. A lost packet costs a header and at least 512 bytes. */
const STRANGE_PACKETS = 5000;
const STRANGE_BYTES = 64 << 20;

const skip = whyNoLab();
t.setTimeout(0);
if (skip === false) await run();
else t.plan(0, skip);

function ifindexOf(node: LabNode, name: string): number {
  const json = sh("ip", "-n", node.namespace, "-json", "link", "show", "dev", name);
  return (JSON.parse(json) as [{ ifindex: number }])[0].ifindex;
}

async function run(): Promise<void> {
  const lab = await Lab.create(1);
  t.teardown(() => lab.close());
  const [node] = lab.nodes as [LabNode];
  for (const slot of SLOTS) await node.attach(slot, slot + 1);
  const worker = await lab.actor(node.namespace, WORKER);
  const place = {
    pinDirectory: node.pins,
    interfaces: SLOTS.map((slot) => ifindexOf(node, `vm-s${slot}`)),
    uplink: ifindexOf(node, "uplink"),
    uplinkMtu: 1500,
  };
  const before = kernelMemory(node.pins);

  t.test("programs and model agree, packet by packet", { timeout: 0 }, async (t) => {
    const startedMs = performance.now();
    let report = NO_REPORT;
    for (let part = 0; report.cases < CASES; part += 1) {
      const task: Task = {
        ...place,
        seed: SEED + part * SEEDS_PER_PART,
        cases: Math.min(PART, CASES - report.cases),
      };
      const { failure, ...found } = await worker.call<Report>("run", task);
      report = sumReports(report, found);
      t.equal(failure, undefined, failure ?? "no difference");
      if (failure !== undefined) return;
      if (report.cases % PROGRESS === 0)
        t.comment(`${report.cases} of ${CASES} in ${((performance.now() - startedMs) / 1000).toFixed(0)} s`);
    }
    const seconds = (performance.now() - startedMs) / 1000;
    t.comment(`seed ${SEED}: ${report.cases} cases in ${seconds.toFixed(1)} s`);
    t.comment(`${report.deliveries} packets given to domains, none to that of another version`);
    t.comment(`${report.proven} connections at the end of a sequence that had proved themselves`);
    for (const [what, counts] of Object.entries({
      "where they came from": report.origins,
      "what they were": report.kinds,
      "what the programs did": report.actions,
      verdicts: report.verdicts,
    }))
      t.comment(`${what}: ${JSON.stringify(counts)}`);
    t.equal(countOf(report.origins), report.cases);
    t.ok(report.deliveries > CASES / 20, "many were delivered");
    t.equal(report.cases, CASES);
    t.equal(report.verdicts["kernel_error"], undefined, "no kernel helper failed");
  });

  t.test("no kernel memory is lost", (t) => {
    const after = kernelMemory(node.pins);
    t.comment(`maps and programs: ${JSON.stringify(before.objects)}`);
    t.same(after.objects, before.objects, "maps and programs are as large as before");
    t.comment(`packets in the kernel: ${before.packets} before, ${after.packets} after`);
    if (before.packets === undefined) t.comment("NOT CHECKED: this kernel has no /proc/slabinfo");
    else t.ok((after.packets ?? 0) - before.packets < STRANGE_PACKETS, "no packet is kept");
    const bytes = after.unreclaimableBytes - before.unreclaimableBytes;
    t.comment(`unreclaimable memory of the whole machine: ${bytes} bytes more`);
    t.ok(bytes < STRANGE_BYTES);
    t.end();
  });

  t.test("a leak would be seen: packets that nobody takes, entries that nobody removes", async (t) => {
    const earlier = kernelMemory(node.pins);
    const holder = await lab.actor(node.namespace, RAW_SOCKETS);
    for (let port = HELD_FROM; port < HELD_FROM + HOLDERS; port += 1)
      await holder.call("open", "udp", {}, port, 1000);
    const sender = await holder.call<number>("open", "udp", {}, 0, 1000);
    for (let port = HELD_FROM; port < HELD_FROM + HOLDERS; port += 1) {
      await holder.call("connect", sender, "127.0.0.1", port);
      for (let count = 0; count < HELD_EACH; count += 1) await holder.call("send", sender, "kept");
    }
    await node.call(
      "setManagedPeers",
      Array.from({ length: 10_000 }, (_, index) => `10.99.${index >> 8}.${index & 255}`),
    );
    const later = kernelMemory(node.pins);
    t.ok((later.objects["managed"] ?? 0) > (earlier.objects["managed"] ?? 0), "entries");
    if (earlier.packets !== undefined)
      t.ok(
        (later.packets ?? 0) - earlier.packets > STRANGE_PACKETS,
        `${earlier.packets} to ${later.packets}`,
      );
  });
}

function countOf(counts: Readonly<Record<string, number>>): number {
  return Object.values(counts).reduce((sum, count) => sum + count, 0);
}
