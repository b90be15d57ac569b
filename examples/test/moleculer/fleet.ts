/**
 * Nodes of the example service as plain processes on loopback addresses 127.0.1.1, 127.0.1.2, …: what the integration
 * tests run on, without root and without domains. KV_NODE names another node binary to run them with.
 */
import { spawn, type ChildProcess, type StdioOptions } from "node:child_process";
import { once } from "node:events";
import { existsSync, mkdtempSync, readFileSync, rmSync, openSync } from "node:fs";
import { createServer, type AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import { releaseFile, RELEASES, type Release } from "./release-modules.ts";

const READY_MS = 60_000;

/** The test runner puts hooks into NODE_OPTIONS of every child, which older nodes cannot load. */
function spawnBare(
  command: string,
  args: readonly string[],
  environment: NodeJS.ProcessEnv,
  stdio: StdioOptions,
) {
  return spawn("env", ["-u", "NODE_OPTIONS", command, ...args], {
    env: { PATH: process.env["PATH"], ...environment },
    stdio,
  });
}

/** Why the tests cannot run here; undefined when they can. */
export const missing = RELEASES.every((release) => existsSync(releaseFile(release, "node_modules/moleculer")))
  ? undefined
  : "the releases have no node_modules; run examples/moleculer/prepare first";

export interface Stats {
  readonly version: number;
  readonly moleculer: string;
  readonly protocol: string;
  readonly items: number;
  readonly digest: string;
  readonly live: readonly string[];
  readonly heard: readonly {
    readonly nodeID: string;
    readonly protocol?: string;
    readonly moleculer?: string;
  }[];
  readonly rssBytes: number;
}

interface NodePlace {
  readonly address: string;
  readonly tcpPort: number;
  readonly httpPort: number;
}

async function freePort(host: string): Promise<number> {
  const server = createServer();
  await new Promise<void>((resolve) => server.listen(0, host, resolve));
  const { port } = server.address() as AddressInfo;
  server.close();
  await once(server, "close");
  return port;
}

export class ServiceNode {
  readonly url: string;
  readonly endpoint: string;
  readonly #place: NodePlace;
  readonly #environment: NodeJS.ProcessEnv;
  readonly #logFile: string;
  #child: ChildProcess | undefined;

  constructor(place: NodePlace, environment: NodeJS.ProcessEnv, logFile: string) {
    this.#place = place;
    this.endpoint = `${place.address}:${place.httpPort}`;
    this.url = `http://${this.endpoint}`;
    this.#environment = environment;
    this.#logFile = logFile;
  }

  /** Starts a release here, on the data that an earlier one left. */
  start(release: Release): void {
    const output = openSync(this.#logFile, "a");
    const node = process.env["KV_NODE"] ?? process.execPath;
    const main = fileURLToPath(releaseFile(release, "index.js"));
    this.#child = spawnBare(node, [main], this.#environment, ["ignore", output, output]);
  }

  async healthy(): Promise<void> {
    const deadlineMs = performance.now() + READY_MS;
    while (performance.now() < deadlineMs && this.#child?.exitCode === null) {
      const response = await fetch(`${this.url}/health`).catch(() => undefined);
      if (response?.status === 200) return;
      await sleep(100);
    }
    throw new Error(`${this.url} is not healthy:\n${this.log()}`);
  }

  async end(signal: "SIGTERM" | "SIGKILL"): Promise<void> {
    const child = this.#child;
    this.#child = undefined;
    if (child === undefined || child.exitCode !== null || child.signalCode !== null) return;
    const exited = once(child, "exit");
    child.kill(signal);
    await exited;
  }

  /** What the manifest's drain hook does. */
  drain(): void {
    this.#child?.kill("SIGUSR2");
  }

  async stats(): Promise<Stats> {
    return (await (await fetch(`${this.url}/stats`)).json()) as Stats;
  }

  async put(key: string, value: string): Promise<number> {
    return (await fetch(`${this.url}/kv/${key}`, { method: "PUT", body: value })).status;
  }

  /** The value, or the status when it is not 200. */
  async get(key: string): Promise<string | number> {
    const response = await fetch(`${this.url}/kv/${key}`);
    return response.status === 200 ? response.text() : response.status;
  }

  /** Runs version 2's migrate hook against `old`; resolves to its output. */
  async migrateFrom(old: string): Promise<string> {
    const { address, httpPort } = this.#place;
    const script = fileURLToPath(releaseFile("v2", "migrate.js"));
    const environment = { VM_OLD_TCP_80: old, KV_HTTP_HOST: address, KV_HTTP_PORT: String(httpPort) };
    const child = spawnBare(process.execPath, [script], environment, ["ignore", "pipe", "inherit"]);
    let output = "";
    child.stdout?.setEncoding("utf8").on("data", (text: string) => (output += text));
    const [code] = await once(child, "close");
    if (code !== 0) throw new Error(`migrate.js ended with ${String(code)}:\n${output}`);
    return output;
  }

  log(): string {
    return readFileSync(this.#logFile, "utf8");
  }
}

export class Fleet {
  readonly nodes: readonly ServiceNode[];
  readonly #directory: string;

  private constructor(nodes: readonly ServiceNode[], directory: string) {
    this.nodes = nodes;
    this.#directory = directory;
  }

  /** Places for `count` nodes that know each other; nothing runs yet. */
  static async prepare(count: number): Promise<Fleet> {
    const directory = mkdtempSync(join(tmpdir(), "kv-fleet-"));
    const udpPort = await freePort("127.0.0.1");
    const places: NodePlace[] = [];
    for (let number = 1; number <= count; number += 1) {
      const address = `127.0.1.${number}`;
      // moleculer's TCP transporter listens on every address: each node needs a port of its own here.
      places.push({ address, tcpPort: await freePort("0.0.0.0"), httpPort: await freePort(address) });
    }
    const nodes = places.map((place) => {
      const peers = places
        .filter((other) => other !== place)
        .map((other) => `${other.address}:${other.tcpPort}`);
      const environment = {
        VM_ADDRESS: place.address,
        VM_PEERS: peers.join(","),
        KV_DATA: join(directory, place.address),
        KV_HTTP_HOST: place.address,
        KV_HTTP_PORT: String(place.httpPort),
        KV_TCP_PORT: String(place.tcpPort),
        KV_UDP_PORT: String(udpPort),
      };
      return new ServiceNode(place, environment, join(directory, `${place.address}.log`));
    });
    return new Fleet(nodes, directory);
  }

  async start(release: Release): Promise<void> {
    for (const node of this.nodes) node.start(release);
    await Promise.all(this.nodes.map((node) => node.healthy()));
  }

  get urls(): readonly string[] {
    return this.nodes.map((node) => node.url);
  }

  async remove(): Promise<void> {
    await Promise.all(this.nodes.map((node) => node.end("SIGKILL")));
    rmSync(this.#directory, { recursive: true, force: true });
  }
}
