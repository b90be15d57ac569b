/** What does the application proxy cost a client? Every contender stands up at once and has its turn in each round. */
import { setTimeout as sleep } from "node:timers/promises";
import { barPlot, runRounds } from "../harness/index.ts";
import type { Bench, BenchOptions, Report, Row } from "../harness/index.ts";
import { Namespaces } from "../router/namespaces.ts";
import { processorTime } from "../router/processors.ts";
import { verdicts } from "./aims.ts";
import { CONTENDERS, startPath, TWO_VERSIONS } from "./contenders.ts";
import type { Path } from "./contenders.ts";
import { layKernel, layPlain } from "./machines.ts";
import { measureNames, probesOf, warmUp } from "./probes.ts";
import type { ProbeSize } from "./probes.ts";
import { descriptorsMax } from "./processors.ts";
import { tables } from "./report.ts";

const QUESTION =
  "What does the application proxy cost a client, with one version and with two in each policy, beside nginx and haproxy?";

const FULL = { rounds: 3, seconds: 1, few: false } as const;
const QUICK = { rounds: 1, seconds: 0.6, few: true } as const;
const SOME = 100;
const MANY = 5_000;
/** Of a proxy per client connection: one to the client, one to each of two servers. */
const DESCRIPTORS_PER_CONNECTION = 3;
const OTHER_DESCRIPTORS = 500;

export const bench: Bench = { question: QUESTION, run };

async function run(options: BenchOptions): Promise<Report> {
  if (process.getuid?.() !== 0) throw new Error("E_NOT_ROOT: network namespaces need root; run it as root.");
  const { rounds: usual, ...rest } = options.quick ? QUICK : FULL;
  const rounds = options.rounds ?? usual;
  const many = Math.min(
    MANY,
    Math.floor((descriptorsMax() - OTHER_DESCRIPTORS) / DESCRIPTORS_PER_CONNECTION),
  );
  const size: ProbeSize = { ...rest, connections: [1, SOME, many], say: options.say };
  const namespaces = await Namespaces.open();
  try {
    const paths = await startAll(namespaces, options);
    const conditions = await describeConditions(size);
    const rows = await runRounds(paths, probesOf(namespaces, size), rounds, options);
    return report(rows, rounds, conditions, size);
  } finally {
    options.say("clean up");
    await namespaces.close();
  }
}

async function startAll(namespaces: Namespaces, options: BenchOptions): Promise<readonly Path[]> {
  options.say(`start ${CONTENDERS.join(", ")}`);
  const ground = { plain: await layPlain(namespaces), kernel: await layKernel(namespaces) };
  const paths: Path[] = [];
  for (const name of CONTENDERS) {
    options.signal.throwIfAborted();
    const path = await startPath(namespaces, ground, name);
    if (!options.quick) await warmUp(namespaces, path, options.signal);
    paths.push(path);
  }
  return paths;
}

function report(
  rows: readonly Row[],
  rounds: number,
  conditions: string,
  { connections }: ProbeSize,
): Report {
  const [, some, many] = connections;
  const result = { question: QUESTION, rounds, rows };
  const text = [conditions, tables(rows, CONTENDERS, connections), verdicts(rows, some, TWO_VERSIONS)].join(
    "\n",
  );
  const { rate, p99, cost, memory } = measureNames;
  const shown = [rate(1), p99(1), rate(some), p99(some), cost(some), memory(many)];
  const panels = rows.filter(({ measure }) => shown.includes(measure));
  const title = "Client, node, server, with a proxy on the node: medians, least to most";
  return { result, text, plots: [{ file: "proxy.svg", svg: barPlot(title, panels, CONTENDERS) }] };
}

/** What figures depend on besides the contenders. */
async function describeConditions({ connections }: ProbeSize): Promise<string> {
  const [, , many] = connections;
  const fewer =
    many < MANY ? `${many} connections instead of ${MANY}: more descriptors may not be opened here.\n` : "";
  const before = processorTime();
  await sleep(1_000);
  const after = processorTime();
  const busy = Math.round((100 * (after.busy - before.busy)) / Math.max(1, after.all - before.all));
  return `${fewer}Client and servers share the first processor; what is measured has the last one for itself.
Requests are GET of ${SOME * 10} paths over kept connections, one at a time each; answers have 60 bytes; wrk asks, nginx answers.
CPU is user and system time of the proxy's processes; memory is theirs, without the kernel's for sockets.
Busy with other work just before: ${busy} % of all processors.
median (min–max)
`;
}
