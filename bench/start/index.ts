/** How soon does a version serve once its release is here? Starts domains on a node of a testbed, each way in turn. */
import { setTimeout as sleep } from "node:timers/promises";
import { barPlot, medianTable, runRounds } from "../harness/index.ts";
import type { Bench, BenchOptions, Report, Row } from "../harness/index.ts";
import { processorTime } from "../router/processors.ts";
import { verdicts } from "./aims.ts";
import { Node } from "./node.ts";
import { probesOf } from "./probes.ts";
import type { Contender } from "./probes.ts";
import { stagesPlot } from "./stages-plot.ts";

const QUESTION =
  "From a downloaded release to a service that answers: how long, by the way its domain is made?";
/** The paper's way first. */
const CONTENDERS: readonly Contender[] = [
  { name: "copy" },
  { name: "overlay" },
  { name: "spare" },
  { name: "lxc" },
];
const FULL = { rounds: 3, counts: [1, 4, 12] } as const;
const QUICK = { rounds: 1, counts: [1, 2] } as const;

export const bench: Bench = { question: QUESTION, run };

async function run(options: BenchOptions): Promise<Report> {
  if (process.getuid?.() !== 0) throw new Error("E_NOT_ROOT: domains need root; run it as root.");
  const { rounds: usual, counts } = options.quick ? QUICK : FULL;
  const rounds = options.rounds ?? usual;
  const node = await Node.open(options.signal, options.say);
  try {
    const conditions = await describeConditions(node);
    const detours: string[] = [];
    const probes = probesOf(async (work, signal) => {
      const answer = await node.perform(work, signal);
      if (answer.kind === "domains") detours.push(...answer.detours);
      return answer;
    }, counts);
    const rows = await runRounds(CONTENDERS, probes, rounds, options);
    return report(rows, rounds, `${conditions}${told(detours)}`);
  } finally {
    options.say("clean up");
    await node.close();
  }
}

function report(rows: readonly Row[], rounds: number, conditions: string): Report {
  const names = CONTENDERS.map(({ name }) => name);
  const parts = rows.filter(({ measure }) => measure.startsWith("part: "));
  const others = rows.filter((row) => !parts.includes(row));
  const text = [conditions, medianTable([...others, ...parts], names), verdicts(rows)].join("\n");
  const plots = [
    {
      file: "start.svg",
      svg: barPlot("From downloaded to answering: medians, least to most", others, names),
    },
    { file: "start-stages.svg", svg: stagesPlot("One domain, part by part: medians", rows, names) },
  ];
  return { result: { question: QUESTION, rounds, rows: [...others, ...parts] }, text, plots };
}

/** A start that took another way is no error, and its figures count: users have them too. */
function told(detours: readonly string[]): string {
  if (detours.length === 0) return "Every clone was one, and every domain came up at once.\n";
  const lines = [...new Set(detours)].map((detour) => {
    const times = detours.filter((other) => other === detour).length;
    return `${times === 1 ? "Once" : `${times} times`} ${detour}.\n`;
  });
  return lines.join("");
}

/** What figures depend on besides the contenders. */
async function describeConditions({ imageBytes }: Node): Promise<string> {
  const before = processorTime();
  await sleep(1_000);
  const after = processorTime();
  const busy = Math.round((100 * (after.busy - before.busy)) / Math.max(1, after.all - before.all));
  return `copy: the image's ${Math.round(imageBytes / 1024 ** 2)} MiB copied, cold boot; overlay: copy-on-write disk, cold boot; spare: copy-on-write disk,
a saved machine restored; all emulated (qemu), 128 MiB each. lxc: an overlay mount and a container.
The service is busybox httpd, out of a release of 300 bytes that comes in over SSH. It answers when an HTTP request from
the node gets the right page. N at once: all begun at the same moment, nothing holds any of them back; the time is the
last one's. Nothing is synced to the disk, and the image is in memory: copying is as fast as it ever is.
Busy with other work just before: ${busy} % of all processors.
`;
}
