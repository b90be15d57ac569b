/** `vm-upgrade router flows`, `peers` and `trace`: asked of the router itself, so they work while the agent is down. */
import { once } from "node:events";
import { RouterClient } from "@version-manager/version-router";
import type { Flow, FlowFilter, PeerCounter, TraceFilter, TraceLine } from "@version-manager/version-router";
import type { CommandModule } from "yargs";
import { jsonOption, print } from "../options.ts";
import { traceLine } from "../screen/packet-line.ts";
import { table } from "../screen/table.ts";

interface Options {
  readonly json: boolean;
  readonly router: string;
  readonly service: string | undefined;
  readonly version: number | undefined;
  readonly peer: string | undefined;
}

const options = {
  ...jsonOption,
  router: {
    type: "string",
    default: "/run/version-manager/router.sock",
    describe: "The router's unix socket",
  },
  service: { type: "string", describe: "Only this service" },
  version: { type: "number", describe: "Only this version" },
  peer: { type: "string", describe: "Only this address at the other end" },
} as const;

/** What was given on the command line. */
function given<T extends object>(filter: T): { readonly [K in keyof T]?: NonNullable<T[K]> } {
  const parts = Object.entries(filter).filter(([, value]) => value !== undefined);
  return Object.fromEntries(parts) as { [K in keyof T]?: NonNullable<T[K]> };
}

/** `0.4 s`, `12 s`, `3 min`, `5 h`. */
function age(ms: number): string {
  if (ms < 10_000) return `${(ms / 1000).toFixed(1)} s`;
  if (ms < 120_000) return `${Math.round(ms / 1000)} s`;
  return ms < 7_200_000 ? `${Math.round(ms / 60_000)} min` : `${Math.round(ms / 3_600_000)} h`;
}

function flowRow(flow: Flow): string[] {
  const { protocol, remoteAddress, remotePort, localPort, service, version, kind, state, idleMs } = flow;
  const remote = `${remoteAddress}.${remotePort}`;
  return [protocol, remote, String(localPort), service, String(version), kind, state, age(idleMs)];
}

interface FlowOptions extends Options {
  readonly protocol: "tcp" | "udp" | undefined;
  readonly limit: number | undefined;
}

export const flowsCommand: CommandModule<object, FlowOptions> = {
  command: "flows",
  describe: "Show which connections and clients belong to which version",
  builder: (yargs) =>
    yargs
      .version(false)
      .options(options)
      .option("protocol", { choices: ["tcp", "udp"] as const, describe: "Only this protocol" })
      .option("limit", { type: "number", describe: "At most so many, 1 to 10000 (default 1000)" })
      .example("$0 router flows --service kv --version 2", "")
      .example("$0 router flows --peer 10.77.0.2 --json | jq .notShown", ""),
  handler: async ({ json, router, service, version, peer, protocol, limit }) => {
    const filter: FlowFilter = given({ service, version, peer, protocol, limit });
    const list = await new RouterClient(router).flows(filter);
    const head = ["PROTOCOL", "REMOTE", "PORT HERE", "SERVICE", "VERSION", "KIND", "STATE", "LAST PACKET"];
    print(json, list, () => [
      ...table([head, ...list.flows.map(flowRow)]),
      ...(list.notShown > 0 ? [`${list.notShown} flows not shown; raise --limit or narrow the filter`] : []),
    ]);
  },
};

interface PeerOptions extends Options {
  readonly verdict: string | undefined;
}

export const peersCommand: CommandModule<object, PeerOptions> = {
  command: "peers",
  describe: "Show what was marked, delivered and refused, for each managed peer",
  builder: (yargs) =>
    yargs
      .version(false)
      .options(options)
      .option("verdict", { type: "string", describe: "Only this verdict" })
      .example("$0 router peers --verdict option_stripped", "")
      .example("$0 router peers --peer 10.77.0.2 --json", ""),
  handler: async ({ json, router, service, version, peer, verdict }) => {
    const asked = Object.entries(given({ service, version, peerAddress: peer, verdict }));
    const all = await new RouterClient(router).peerCounters();
    const counters = all.filter((counter) =>
      asked.every(([name, value]) => counter[name as keyof PeerCounter] === value),
    );
    const nowMs = Date.now();
    const rows = counters
      .toSorted((a, b) => b.lastSeenMs - a.lastSeenMs)
      .map((row) => [
        row.peerAddress,
        row.service,
        String(row.version),
        row.verdict,
        String(row.packets),
        String(row.bytes),
        `${age(nowMs - row.lastSeenMs)} ago`,
      ]);
    const head = ["PEER", "SERVICE", "VERSION", "VERDICT", "PACKETS", "BYTES", "LAST"];
    print(json, counters, () => table([head, ...rows]));
  },
};

interface TraceOptions extends PeerOptions {
  readonly port: number | undefined;
  readonly count: number | undefined;
  readonly seconds: number | undefined;
}

export const traceCommand: CommandModule<object, TraceOptions> = {
  command: "trace",
  describe: "Follow packets live: their marks, what became of them, and why",
  builder: (yargs) =>
    yargs
      .version(false)
      .options({ ...options, json: { ...options.json, describe: "Print one JSON value per line" } })
      .option("port", { type: "number", describe: "Only this port at either end" })
      .option("verdict", { type: "string", describe: "Only this verdict, as `router status` names them" })
      .option("count", { type: "number", describe: "End after so many packets" })
      .option("seconds", { type: "number", describe: "End after so long" })
      .example("$0 router trace --service kv --verdict unknown_version", "until Ctrl-C")
      .example("$0 router trace --peer 10.77.0.2 --port 7000 --count 20", "")
      .example("$0 router trace --seconds 5 --json", ""),
  handler: async ({ json, router, service, version, peer, port, verdict, count, seconds }) => {
    const filter: TraceFilter = given({ service, version, peer, port, verdict });
    await follow(new RouterClient(router), filter, { json, count, seconds });
  },
};

interface Ending {
  readonly json: boolean;
  readonly count: number | undefined;
  readonly seconds: number | undefined;
}

/** Until enough was shown, the time is over, or somebody ends it; the router stops looking then. */
async function follow(
  client: RouterClient,
  filter: TraceFilter,
  { json, count = Number.POSITIVE_INFINITY, seconds }: Ending,
): Promise<void> {
  const stop = new AbortController();
  const end = () => stop.abort();
  for (const signal of ["SIGINT", "SIGTERM"] as const) process.once(signal, end);
  process.stdout.once("error", end);
  const timer = seconds === undefined ? undefined : setTimeout(end, seconds * 1000);
  let shown = 0;
  let missed = 0;
  try {
    for await (const line of client.trace(filter, stop.signal)) {
      if (line.type === "missed") missed += line.packets;
      await write(line, json);
      if (line.type === "packet") shown += 1;
      if (shown >= count) end();
    }
  } finally {
    clearTimeout(timer);
  }
  if (!json) process.stderr.write(`${shown} packets shown, ${missed} packets not shown\n`);
}

/** Notes are for people, and not among the packets. */
async function write(line: TraceLine, json: boolean): Promise<void> {
  const stream = !json && line.type === "note" ? process.stderr : process.stdout;
  const hasRoom = stream.write(`${json ? JSON.stringify(line) : traceLine(line)}\n`);
  if (!hasRoom && !stream.destroyed) await Promise.race([once(stream, "drain"), once(stream, "close")]);
}
