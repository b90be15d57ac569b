/** What is measured, by which program, run from domain 1 against domain 2. The same command for every contender. */
import { availableParallelism } from "node:os";
import { join } from "node:path";
import type { Probe } from "../harness/index.ts";
import type { Path } from "./contenders.ts";
import { end, within } from "./namespaces.ts";
import type { Namespaces } from "./namespaces.ts";
import { untilListening } from "./path.ts";
import { HTTP, IPERF, TCP_ECHO, UDP_ECHO } from "./ports.ts";
import { processorTime } from "./processors.ts";
import { parseApacheBench, parseIperf, parsePingPong } from "./programs.ts";
import type { IperfFigures } from "./programs.ts";

export interface ProbeSize {
  /** How long each run lasts; iperf3 and ab take whole seconds. */
  readonly seconds: number;
  /** The same for round trips, which take less: thousands go into half a second. */
  readonly roundTripsMs: number;
}

const CONCURRENT_CONNECTIONS = 16;
const MESSAGE_BYTES = 64;
/**
 * Round trips: on different processors, as on different machines (on one alone they take a third of the time), and
 * ahead of other work, which would else be most of the p99.
 */
const CLIENT_SIDE = ["chrt", "--fifo", "1", "taskset", "--cpu-list", "0"] as const;
const SERVER_SIDE = [
  "chrt",
  "--fifo",
  "1",
  "taskset",
  "--cpu-list",
  `${availableParallelism() - 1}`,
] as const;
const PING_PONG = join(import.meta.dirname, "ping-pong.js");
/** What a run may take beyond its length before it counts as failed. */
const PATIENCE_MS = 20_000;

type Maker = (namespaces: Namespaces, size: ProbeSize) => Probe<Path>;

export const PROBES: readonly Maker[] = [
  (namespaces, size) => throughput(namespaces, size, 1),
  (namespaces, size) => throughput(namespaces, size, 8),
  connections,
  (namespaces, size) => datagrams(namespaces, size, 64),
  (namespaces, size) => datagrams(namespaces, size, 1024),
  (namespaces, size) => roundTrips(namespaces, size, "udp"),
  (namespaces, size) => roundTrips(namespaces, size, "tcp"),
];

function throughput(namespaces: Namespaces, { seconds }: ProbeSize, streams: number): Probe<Path> {
  const name = `TCP throughput, ${streams} stream${streams === 1 ? "" : "s"}`;
  return {
    name,
    measures: [{ measure: name, unit: "Gbit/s", better: "higher" }],
    fits: () => true,
    run: async (path, signal) => {
      const words = ["-t", `${seconds}`, "-P", `${streams}`];
      return [(await iperf(namespaces, path, words, signal, seconds)).bitsPerSecond / 1e9];
    },
  };
}

/** The processor time of the whole machine goes with the small datagrams, where it is most per byte. */
function datagrams(namespaces: Namespaces, { seconds }: ProbeSize, bytes: number): Probe<Path> {
  const name = `UDP, ${bytes} bytes`;
  const rate = { measure: `UDP packets, ${bytes} bytes`, unit: "1000/s", better: "higher" } as const;
  const cost = { measure: `CPU per packet, UDP ${bytes} bytes`, unit: "µs", better: "lower" } as const;
  return {
    name,
    measures: [rate, cost],
    fits: (path) => path.carriesUdp,
    run: async (path, signal) => {
      const words = ["-u", "-b", "0", "-l", `${bytes}`, "-t", `${seconds}`];
      const before = processorTime().busy;
      const { bitsPerSecond, seconds: lasted } = await iperf(namespaces, path, words, signal, seconds);
      const perSecond = bitsPerSecond / 8 / bytes;
      return [perSecond / 1000, (processorTime().busy - before) / (perSecond * lasted)];
    },
  };
}

function connections(_: Namespaces, { seconds }: ProbeSize): Probe<Path> {
  const name = "TCP connections (open, ask, answer, close)";
  return {
    name,
    measures: [{ measure: "TCP connections", unit: "1000/s", better: "higher" }],
    fits: () => true,
    run: async (path, signal) => {
      const limit = ["-t", `${seconds}`, "-n", "10000000"];
      const words = [
        "ab",
        "-q",
        ...limit,
        "-c",
        `${CONCURRENT_CONNECTIONS}`,
        `http://${path.target}:${HTTP}/`,
      ];
      return [parseApacheBench(await ask(path, words, signal, seconds)) / 1000];
    },
  };
}

function roundTrips(
  namespaces: Namespaces,
  { seconds, roundTripsMs }: ProbeSize,
  protocol: "udp" | "tcp",
): Probe<Path> {
  const name = `${protocol.toUpperCase()} round trip`;
  const port = protocol === "udp" ? UDP_ECHO : TCP_ECHO;
  return {
    name,
    measures: (["p50", "p99"] as const).map((percentile) => ({
      measure: `${name} ${percentile}`,
      unit: "µs",
      better: "lower",
    })),
    fits: (path) => protocol === "tcp" || path.carriesUdp,
    run: async (path, signal) => {
      const program = [process.execPath, PING_PONG];
      const server = namespaces.spawn(path.domains[1], [
        ...SERVER_SIDE,
        ...program,
        "serve",
        protocol,
        `${port}`,
      ]);
      try {
        await untilListening(path.domains[1], protocol, port);
        const what = [protocol, `${port}`, path.target, `${MESSAGE_BYTES}`, `${roundTripsMs}`];
        const command = [...CLIENT_SIDE, ...program, "ask", ...what];
        const { p50, p99 } = parsePingPong(await ask(path, command, signal, seconds));
        return [p50, p99];
      } finally {
        await end(server);
      }
    },
  };
}

async function iperf(
  namespaces: Namespaces,
  path: Path,
  words: readonly string[],
  signal: AbortSignal,
  seconds: number,
): Promise<IperfFigures> {
  // -1: it ends after one test, so that a failed one leaves no server that calls itself busy.
  const command = ["iperf3", "-s", "-1", "-p", `${IPERF}`];
  const server = namespaces.spawn(path.domains[1], command);
  try {
    await untilListening(path.domains[1], "tcp", IPERF);
    const client = ["iperf3", "-c", path.target, "-p", `${IPERF}`, "-J", ...words];
    return parseIperf(await ask(path, client, signal, seconds));
  } finally {
    await end(server);
  }
}

/** Runs the client's command in domain 1. */
function ask(path: Path, command: readonly string[], signal: AbortSignal, seconds: number): Promise<string> {
  return within(path.domains[0], command, { signal, timeoutMs: seconds * 1000 + PATIENCE_MS });
}
