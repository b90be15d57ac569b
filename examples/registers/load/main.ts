/**
 * The load on several register services from one process, so that all moments are of one clock. Obeys lines on standard
 * input, prints one JSON object per line: {"type": "progress"} each second, and as the answer to `stop` (end the load)
 * {"type": "summary"}, to `read FILE` (read every key back, write the history to a file, one operation per line)
 * {"type": "read"}, each with an object `services` by name. `quit` ends it.
 *
 *     main.ts --service NAME=http://ADDRESS:PORT [--service …] [--rate 100] [--clients 4] [--depth 8] [--keys 16]
 *             [--silence-ms 15000]
 *
 * The schemes are http, resp and udp; the rate is requests per second of each service.
 */
import { writeFileSync } from "node:fs";
import { createInterface } from "node:readline";
import { parseArgs } from "node:util";
import { Load, type ProtocolName } from "./load.ts";

const RECYCLE_MS = 2_500;

function loadsFrom(words: readonly string[]): Map<string, Load> {
  const { values } = parseArgs({
    args: [...words],
    options: {
      service: { type: "string", multiple: true, default: [] },
      rate: { type: "string", default: "100" },
      clients: { type: "string", default: "4" },
      depth: { type: "string", default: "8" },
      keys: { type: "string", default: "16" },
      "silence-ms": { type: "string", default: "15000" },
    },
  });
  const habits = {
    rate: Number(values.rate),
    clients: Number(values.clients),
    depth: Number(values.depth),
    keys: Number(values.keys),
    recycleMs: RECYCLE_MS,
    silenceMaxMs: Number(values["silence-ms"]),
    random: Math.random,
  };
  return new Map(
    values.service.map((word) => {
      const [, name, protocol, host, port] = /^([^=]+)=(http|resp|udp):\/\/([^:]+):(\d+)$/.exec(word) ?? [];
      if (name === undefined || host === undefined) throw new RangeError(`not a service: ${word}`);
      const place = { host, port: Number(port), protocol: protocol as ProtocolName };
      return [name, new Load({ name, ...place, ...habits })];
    }),
  );
}

function print(type: string, loads: Map<string, Load>, facts: (load: Load, name: string) => unknown): void {
  const services = Object.fromEntries([...loads].map(([name, load]) => [name, facts(load, name)]));
  process.stdout.write(`${JSON.stringify({ type, services })}\n`);
}

async function obey(line: string, loads: Map<string, Load>): Promise<void> {
  const [command, file] = line.trim().split(" ");
  if (command === "stop") {
    await Promise.all([...loads.values()].map(async (load) => load.stop()));
    return print("summary", loads, (load) => load.figures);
  }
  if (command === "read" && file !== undefined) {
    const read = new Map<string, unknown>();
    for (const [name, load] of loads) read.set(name, await load.readBack());
    const operations = [...loads.values()].flatMap((load) => load.history);
    writeFileSync(file, operations.map((operation) => `${JSON.stringify(operation)}\n`).join(""));
    return print("read", loads, (load, name) => ({ ...(read.get(name) as object), ...load.figures }));
  }
  if (command === "quit") process.exit(0);
  throw new RangeError("the commands are: stop, read FILE, quit");
}

const loads = loadsFrom(process.argv.slice(2));
for (const load of loads.values()) load.start();
setInterval(() => print("progress", loads, (load) => load.figures), 1_000).unref();
for await (const line of createInterface({ input: process.stdin })) await obey(line, loads);
process.exit(0);
