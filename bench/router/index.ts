/** Is the router as fast as the kernel's own ways? Builds a path per contender, runs the probes over all in turn. */
import { setTimeout as sleep } from "node:timers/promises";
import { barPlot, medianTable, ratioTable, runRounds } from "../harness/index.ts";
import type { Bench, BenchOptions, Report, Row } from "../harness/index.ts";
import { verdicts } from "./aims.ts";
import { buildPath, CONTENDERS } from "./contenders.ts";
import type { Path } from "./contenders.ts";
import { Namespaces, within } from "./namespaces.ts";
import { processorTime } from "./processors.ts";
import { PROBES } from "./probes.ts";
import { startWebServer } from "./proxies.ts";

const QUESTION =
  "Between two domains on two nodes, how does the version router compare with kernel routing and kernel NAT?";

const FULL = { rounds: 6, seconds: 2, roundTripsMs: 1000 } as const;
/** Within a minute with what `scripts/bench` does before, also on two processors. */
const QUICK = { rounds: 1, seconds: 1, roundTripsMs: 250 } as const;

export const bench: Bench = { question: QUESTION, run };

async function run(options: BenchOptions): Promise<Report> {
  if (process.getuid?.() !== 0) throw new Error("E_NOT_ROOT: network namespaces need root; run it as root.");
  const { rounds: usual, ...size } = options.quick ? QUICK : FULL;
  const rounds = options.rounds ?? usual;
  const namespaces = await Namespaces.open();
  try {
    const paths: Path[] = [];
    for (const name of CONTENDERS) {
      options.signal.throwIfAborted();
      options.say(`path of ${name}`);
      const path = await buildPath(namespaces, name);
      await startWebServer(namespaces, path.domains[1]);
      paths.push(path);
    }
    const conditions = await describeConditions(paths);
    const probes = PROBES.map((make) => make(namespaces, size));
    const rows = await runRounds(paths, probes, rounds, options);
    return report(rows, rounds, conditions);
  } finally {
    options.say("clean up");
    await namespaces.close();
  }
}

function report(rows: readonly Row[], rounds: number, conditions: string): Report {
  const result = { question: QUESTION, rounds, rows };
  const text = [
    conditions,
    medianTable(rows, CONTENDERS),
    ratioTable(rows, CONTENDERS, "nat"),
    ratioTable(rows, CONTENDERS, "routing"),
    verdicts(rows, "router"),
  ].join("\n");
  const title = "Domain, node, wire, node, domain: medians, least to most";
  return { result, text, plots: [{ file: "router.svg", svg: barPlot(title, rows, CONTENDERS) }] };
}

/** What figures depend on besides the contenders. */
async function describeConditions(paths: readonly Path[]): Promise<string> {
  const [domain = ""] = paths[0]?.domains ?? [];
  const features = await within(domain, ["ethtool", "-k", "eth0"]);
  const state = (name: string): string =>
    new RegExp(`^${name}: (on|off)`, "m").exec(features)?.[1] ?? "unknown";
  const control = await within(domain, ["sysctl", "-n", "net.ipv4.tcp_congestion_control"]);
  return [
    "Four hops (domain, node, wire bridge, node, domain), each a network namespace, joined by veth pairs.",
    `MTU 1500; 1484 in the router's domains. Offloads of veth: segmentation ${state("tcp-segmentation-offload")}, ` +
      `checksum ${state("tx-checksumming")}, receive ${state("generic-receive-offload")}. TCP ${control.trim()}.`,
    `Busy with other work just before: ${await backgroundShare()} % of all processors.`,
    "iperf3 (throughput, packets received), ab to nginx (connections, 16 at a time), ping-pong.js (round trips, 64 bytes).",
    "Round trips have client and server pinned to different processors, in real time, so that other work on the machine",
    "disturbs them less; what carries packets has no such favour.",
    "",
  ].join("\n");
}

/** The machine may be shared: how busy it is while this bench does nothing. */
async function backgroundShare(): Promise<number> {
  const before = processorTime();
  await sleep(1_000);
  const after = processorTime();
  return Math.round((100 * (after.busy - before.busy)) / Math.max(1, after.all - before.all));
}
