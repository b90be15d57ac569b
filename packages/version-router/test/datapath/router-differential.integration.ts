/**
 * The real programs against a plain model of their decisions: random, broken and hostile packets in random order, with
 * the daemon's changes between them. Same action, same bytes, same counters, connections and marks heard; and a judge
 * that asks no model sees that nothing crosses versions. `CASES=10000000` runs more, `SEED=7` others.
 */
import { join } from "node:path";
import t from "tap";
import { LAYOUT, MAPS } from "../../datapath/kernel/structs.ts";
import { sumReports } from "./differential/campaign.ts";
import { Lab, sh, whyNoLab } from "./lab.ts";
import type { Report } from "./differential/campaign.ts";
import type { Task } from "./differential/worker.ts";
import type { LabNode } from "./lab.ts";

const WORKER = new URL("differential/worker.ts", import.meta.url).pathname;
const CASES = Number(process.env["CASES"] ?? 1_000_000);
const SEED = Number(process.env["SEED"] ?? 20_261_121);
const SLOTS = [0, 1, 2, 3];
/** The campaign is asked for in parts, so that it can tell how far it is. */
const PART = 100_000;
/** Seeds of one part must not be those of another. */
const SEEDS_PER_PART = 100_000;

const skip = whyNoLab();
t.setTimeout(0);
if (skip === false) await run();
else t.plan(0, skip);

function ifindexOf(node: LabNode, name: string): number {
  const json = sh("ip", "-n", node.namespace, "-json", "link", "show", "dev", name);
  return (JSON.parse(json) as [{ ifindex: number }])[0].ifindex;
}

/** Kernel memory of each pinned map, bytes. */
function memoryOfMaps(node: LabNode): Readonly<Record<string, number>> {
  const maps = Object.keys(MAPS).map((name) => {
    const pin = join(node.pins, `layout-${LAYOUT}`, "maps", name);
    const { bytes_memlock } = JSON.parse(sh("bpftool", "-j", "map", "show", "pinned", pin)) as {
      bytes_memlock: number;
    };
    return [name, bytes_memlock] as const;
  });
  return Object.fromEntries(maps);
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
  const before = memoryOfMaps(node);

  t.test("programs and model agree, packet by packet", { timeout: 0 }, async (t) => {
    const startedMs = performance.now();
    let report: Report = { cases: 0, deliveries: 0, proven: 0, verdicts: {}, actions: {} };
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
    }
    const seconds = (performance.now() - startedMs) / 1000;
    t.comment(`seed ${SEED}: ${report.cases} cases in ${seconds.toFixed(1)} s`);
    t.comment(`${report.deliveries} packets given to domains, none to that of another version`);
    t.comment(`${report.proven} connections at the end of a sequence that had proved themselves`);
    for (const counts of [report.actions, report.verdicts]) t.comment(JSON.stringify(counts));
    t.equal(report.cases, CASES);
    t.equal(report.verdicts["kernel_error"], undefined, "no kernel helper failed");
  });

  t.test("maps take no more kernel memory than before", (t) => {
    t.comment(JSON.stringify(before));
    t.same(memoryOfMaps(node), before);
    t.end();
  });
}
