/** What is measured: the same requests to all, at several numbers of connections; and what connections cost in memory. */
import { once } from "node:events";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { setTimeout as sleep } from "node:timers/promises";
import type { Measure, Probe } from "../harness/index.ts";
import { end, within } from "../router/namespaces.ts";
import type { Namespaces } from "../router/namespaces.ts";
import { type Fresh, type Path } from "./contenders.ts";
import { HELPERS, memoryOf, processorTimeOf } from "./processors.ts";
import { parseWrk } from "./wrk.ts";

export interface ProbeSize {
  /** How long wrk runs. */
  readonly seconds: number;
  readonly connections: readonly [one: 1, some: number, many: number];
  /** Whether only those of most interest are asked over many connections, and looked at for memory. */
  readonly few: boolean;
  /** What went wrong and is no reason to end, one line. */
  readonly say: (line: string) => void;
}

/** Names of the rows, which verdicts and tables look for. */
export const measureNames = {
  rate: (count: number) => `requests/s, ${connections(count)}`,
  p50: (count: number) => `p50, ${connections(count)}`,
  p99: (count: number) => `p99, ${connections(count)}`,
  cost: (count: number) => `CPU per request, ${connections(count)}`,
  memory: (count: number) => `memory per connection, ${connections(count)}`,
  whole: "memory with 1 connection",
} as const;

export function connections(count: number): string {
  return `${count} connection${count === 1 ? "" : "s"}`;
}

const KEYS = 1000;
const HOLD = join(import.meta.dirname, "hold.js");
/** Time for answers on their way and for what is put off, before memory is looked at. */
const SETTLE_MS = 500;
const FEW: readonly string[] = ["pass", "write-all", "haproxy"];
/** Thousands of connections, and twice as many to the servers, are made before the first of them is answered. */
const MORE_SECONDS_AT_MANY = 5;
/** On a busy machine it takes longer. */
const LONGER = 3;

export function probesOf(namespaces: Namespaces, size: ProbeSize): readonly Probe<Path>[] {
  const script = writeScript(namespaces);
  return [...size.connections.map((count) => load(script, size, count)), memory(namespaces, size)];
}

/** A second of the usual load, so that nobody is measured while it compiles its code. */
export async function warmUp(namespaces: Namespaces, path: Path, signal: AbortSignal): Promise<void> {
  await runWrk(writeScript(namespaces), path, 1, 100, signal);
}

function load(
  script: string,
  { seconds: usual, few, connections: counts, say }: ProbeSize,
  count: number,
): Probe<Path> {
  const isMany = count === counts[2];
  const seconds = usual + (isMany ? MORE_SECONDS_AT_MANY : 0);
  const measures: readonly Measure[] = [
    { measure: measureNames.rate(count), unit: "1000/s", better: "higher" },
    { measure: measureNames.p50(count), unit: "ms", better: "lower" },
    { measure: measureNames.p99(count), unit: "ms", better: "lower" },
    { measure: measureNames.cost(count), unit: "µs", better: "lower" },
  ];
  return {
    name: `requests, ${count} connections`,
    measures,
    fits: ({ name }) => !few || !isMany || FEW.includes(name),
    run: async (path, signal) => {
      for (const lasting of [seconds, seconds * LONGER]) {
        const before = path.pid === undefined ? 0 : processorTimeOf(path.pid);
        const figures = await runWrk(script, path, lasting, count, signal).catch((error: unknown) => {
          signal.throwIfAborted();
          if (!isMany) throw error;
          say(`${path.name}, ${count} connections: ${String(error)}`);
        });
        if (figures === undefined) continue;
        const { requests, perSecond, p50Ms, p99Ms } = figures;
        const shown = [perSecond / 1000, p50Ms, p99Ms];
        return path.pid === undefined ? shown : [...shown, (processorTimeOf(path.pid) - before) / requests];
      }
      // It has no figure in this round; the table says so by a dash when it had none in any.
      return [];
    },
  };
}

/** Resident memory of a process that is new, with one connection, then some, then many, all quiet. */
function memory(namespaces: Namespaces, { connections, few }: ProbeSize): Probe<Path> {
  const [, some, many] = connections;
  return {
    name: "memory",
    measures: [
      { measure: measureNames.whole, unit: "MiB", better: "lower" },
      { measure: measureNames.memory(some), unit: "KiB", better: "lower" },
      { measure: measureNames.memory(many), unit: "KiB", better: "lower" },
    ],
    fits: ({ fresh, name }) => fresh !== undefined && (!few || FEW.includes(name)),
    run: async (path, signal) => {
      const fresh = (await path.fresh?.()) as Fresh;
      try {
        const [first = 0, second = 0, third = 0] = await memoryAt(
          namespaces,
          path,
          fresh,
          [1, some, many],
          signal,
        );
        const perConnection = (bytes: number, count: number): number => (bytes - first) / (count - 1) / 1024;
        return [first / 2 ** 20, perConnection(second, some), perConnection(third, many)];
      } finally {
        await fresh.end();
      }
    },
  };
}

async function memoryAt(
  namespaces: Namespaces,
  { client }: Path,
  { target, pid }: Fresh,
  counts: readonly number[],
  signal: AbortSignal,
): Promise<readonly number[]> {
  const command = [...HELPERS, process.execPath, HOLD, ...target.split(":")];
  const holder = namespaces.spawn(client, command, ["pipe", "pipe", "inherit"]);
  try {
    const { stdin, stdout } = holder;
    if (stdin === null || stdout === null)
      throw new Error("the holder of connections has no standard streams");
    const lines = createInterface({ input: stdout });
    const gone = once(holder, "exit", { signal }).then(() => {
      throw new Error("the holder of connections ended early; its words are above");
    });
    const bytes: number[] = [];
    for (const count of counts) {
      stdin.write(`${count}\n`);
      await Promise.race([once(lines, "line", { signal }), gone]);
      await sleep(SETTLE_MS);
      bytes.push(memoryOf(pid));
    }
    gone.catch(() => undefined);
    return bytes;
  } finally {
    await end(holder);
  }
}

function writeScript({ directory }: Namespaces): string {
  const file = join(directory, "keys.lua");
  writeFileSync(
    file,
    `local requests, turn = {}, 0
init = function() for key = 1, ${KEYS} do requests[key] = wrk.format("GET", "/key" .. key) end end
request = function() turn = turn % ${KEYS} + 1; return requests[turn] end
`,
  );
  return file;
}

async function runWrk(script: string, path: Path, seconds: number, connections: number, signal: AbortSignal) {
  // wrk counts whole seconds; interrupted it ends in order, and reports what it has.
  const interrupt = ["timeout", "--preserve-status", "--signal=INT", `${seconds}`];
  const limits = ["--threads", "1", "--duration", "600", "--connections", `${connections}`];
  const words = [...limits, "--timeout", "10", "--latency", "--script", script, `http://${path.target}/`];
  const command = [...HELPERS, ...interrupt, "wrk", ...words];
  return parseWrk(await within(path.client, command, { signal, timeoutMs: seconds * 1000 + 30_000 }));
}
