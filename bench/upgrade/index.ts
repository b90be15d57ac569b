/** How long is a node's upgrade? Runs `scripts/demo` with containers and reads the stages that it reports. */
import { spawn } from "node:child_process";
import { join } from "node:path";
import { text } from "node:stream/consumers";
import { down } from "@version-manager/testbed";
import { barPlot, medianTable } from "../harness/index.ts";
import type { Bench, BenchOptions, Report } from "../harness/index.ts";
import { stageRows } from "./stages.ts";
import type { DemoReport } from "./stages.ts";

const QUESTION = "How long does a node take from hearing of a version to running it, stage by stage?";
const DEMO = join(import.meta.dirname, "../../../scripts/dist/demonstration/main.js");
const HYPERVISOR = "lxc";
/** The demonstration's own. */
const TESTBED = "demo";

const FULL = { rounds: 3, nodes: 3 } as const;
const QUICK = { rounds: 1, nodes: 2 } as const;

export const bench: Bench = { question: QUESTION, run };

async function run(options: BenchOptions): Promise<Report> {
  const size = options.quick ? QUICK : FULL;
  const rounds = options.rounds ?? size.rounds;
  const reports: DemoReport[] = [];
  for (let round = 1; round <= rounds; round += 1) {
    options.say(`round ${round}/${rounds}: scripts/demo with ${size.nodes} nodes`);
    reports.push(await demonstrate(size.nodes, options.signal));
  }
  const rows = stageRows(reports);
  const table = medianTable(rows, [HYPERVISOR]);
  const introduction = `${size.nodes} nodes on this one machine upgrade at once, as containers, under client load: over nodes and rounds.\n`;
  const plot = { file: "upgrade.svg", svg: barPlot(QUESTION, rows, [HYPERVISOR]) };
  return { result: { question: QUESTION, rounds, rows }, text: `${introduction}\n${table}`, plots: [plot] };
}

async function demonstrate(nodes: number, signal: AbortSignal): Promise<DemoReport> {
  signal.throwIfAborted();
  const words = [DEMO, "--json", "--hypervisor", HYPERVISOR, "--nodes", `${nodes}`];
  const child = spawn(process.execPath, words, { stdio: ["ignore", "pipe", "inherit"] });
  const stop = (): void => void child.kill("SIGKILL");
  signal.addEventListener("abort", stop);
  const ended = new Promise((resolve) => child.once("close", resolve));
  const json = await text(child.stdout);
  const status = await ended;
  signal.removeEventListener("abort", stop);
  if (signal.aborted) await down({ name: TESTBED });
  signal.throwIfAborted();
  if (status !== 0) throw new Error(`scripts/demo ended with ${String(status)}; its words are above.`);
  return JSON.parse(json) as DemoReport;
}
