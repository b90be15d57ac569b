/** What stands between client and server, in the order of the table. */
import { closeSync, mkdirSync, openSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { createRequire } from "node:module";
import { fileURLToPath } from "node:url";
import { HOST_ENVIRONMENT } from "@version-manager/app-proxy/host";
import type { Launch } from "@version-manager/app-proxy/host";
import type { Contender } from "../harness/index.ts";
import { end } from "../router/namespaces.ts";
import type { Namespaces } from "../router/namespaces.ts";
import { untilListening } from "../router/path.ts";
import { NODE_ADDRESS, SERVER_PORT, VERSION_ADDRESSES } from "./machines.ts";
import type { Machines } from "./machines.ts";
import type { PolicyName } from "./policies.ts";
import { CONTENDER } from "./processors.ts";
import { haproxy, nginxHttp, nginxStream } from "./relays.ts";
import type { RelayPlace } from "./relays.ts";

export interface Path extends Contender {
  /** The namespace that clients are in. */
  readonly client: string;
  /** `address:port` that clients connect to. */
  readonly target: string;
  /** The process in between; undefined where the kernel alone carries the packets. */
  readonly pid: number | undefined;
  /** A second process of the same kind on another port, for who wants to see it from its first connection on. */
  readonly fresh?: () => Promise<Fresh>;
}

export interface Fresh {
  readonly target: string;
  readonly pid: number;
  end(): Promise<void>;
}

export type Ground = Readonly<Record<"plain" | "kernel", Machines>>;

type Command = (place: RelayPlace) => readonly string[];

const VERSIONS = VERSION_ADDRESSES.map((address) => `${address}:${SERVER_PORT}`) as [string, string];
const POLICIES = join(import.meta.dirname, "policies.js");

const ENVIRONMENT = Object.entries(HOST_ENVIRONMENT).map(([name, value]) => `${name}=${value}`);

const ours =
  (service: PolicyName): Command =>
  // A test runner's NODE_OPTIONS name files that the process may not read.
  (place) => [
    "env",
    "-u",
    "NODE_OPTIONS",
    ...ENVIRONMENT,
    process.execPath,
    ...hostArguments(service, place),
  ];

const nginx =
  (configure: (place: RelayPlace) => string): Command =>
  (place) => ["nginx", "-p", place.home, "-c", write(place, configure(place)), "-e", "/dev/null"];

const COMMANDS: Readonly<Record<string, Command>> = {
  one: ours("one"),
  pass: ours("pass"),
  "write-all": ours("write-all"),
  newest: ours("newest"),
  first: ours("first"),
  longest: ours("longest"),
  translate: ours("translate"),
  shadow: ours("shadow"),
  "nginx-stream": nginx(nginxStream),
  "nginx-http": nginx((place) => nginxHttp(place, false)),
  "nginx-mirror": nginx((place) => nginxHttp(place, true)),
  haproxy: (place) => ["haproxy", "-db", "-q", "-f", write(place, haproxy(place, "tcp"))],
  "haproxy-http": (place) => ["haproxy", "-db", "-q", "-f", write(place, haproxy(place, "http"))],
};

export const CONTENDERS: readonly string[] = ["direct", "kernel", ...Object.keys(COMMANDS)];

/** Policies with a second version that may ask both. */
export const TWO_VERSIONS = ["write-all", "newest", "first", "longest", "translate", "shadow"] as const;

const FIRST_PORT = 8100;

export async function startPath(namespaces: Namespaces, ground: Ground, name: string): Promise<Path> {
  const direct = { name, pid: undefined };
  if (name === "direct") return { ...direct, client: ground.plain.client, target: VERSIONS[0] };
  if (name === "kernel") {
    return { ...direct, client: ground.kernel.client, target: `${NODE_ADDRESS}:${SERVER_PORT}` };
  }
  const { client, node } = ground.plain;
  const port = FIRST_PORT + 2 * CONTENDERS.indexOf(name);
  const { target, pid } = await start(namespaces, node, name, port);
  return { name, client, target, pid, fresh: () => start(namespaces, node, name, port + 1) };
}

async function start(namespaces: Namespaces, node: string, name: string, port: number): Promise<Fresh> {
  const target = `${NODE_ADDRESS}:${port}`;
  const home = join(namespaces.directory, `${name}-${port}`);
  // A process of an earlier round leaves its control socket.
  rmSync(home, { recursive: true, force: true });
  mkdirSync(home, { recursive: true });
  const command = COMMANDS[name]?.({ home, listen: target, versions: VERSIONS }) ?? [];
  const log = join(home, "log");
  const output = openSync(log, "w");
  const child = namespaces.spawn(node, [...CONTENDER, ...command], ["ignore", output, output]);
  closeSync(output);
  try {
    await untilListening(node, "tcp", port);
  } catch (error) {
    throw new Error(`${name} did not start: ${readFileSync(log, "utf8").slice(-500)}`, { cause: error });
  }
  return { target, pid: child.pid ?? 0, end: () => end(child) };
}

function write({ home }: RelayPlace, text: string): string {
  const file = join(home, "configuration");
  writeFileSync(file, text);
  return file;
}

/** As the agent starts it: Node's permission model, a limit for the heap. */
function hostArguments(service: PolicyName, { home, listen, versions }: RelayPlace): readonly string[] {
  const host = dirname(fileURLToPath(import.meta.resolve("@version-manager/app-proxy/host")));
  const parser = dirname(createRequire(join(host, "main.js")).resolve("http-parser-js"));
  const readable = [dirname(host), parser, import.meta.dirname];
  const launch: Launch = {
    service,
    module: POLICIES,
    control: { path: join(home, "control") },
    listen: [{ port: "tcp/80", address: listen }],
    versions: (service === "one" ? versions.slice(0, 1) : versions).map((endpoint, index) => ({
      version: index + 1,
      endpoints: { "tcp/80": endpoint },
    })),
  };
  return [
    "--permission",
    ...readable.map((directory) => `--allow-fs-read=${directory}/`),
    `--allow-fs-write=${home}/`,
    "--max-old-space-size=256",
    join(host, "main.js"),
    JSON.stringify(launch),
  ];
}
