/** The proxy process under test: the real host, its control interface, and what it holds. */
import { spawn } from "node:child_process";
import type { ChildProcess } from "node:child_process";
import { once } from "node:events";
import { closeSync, mkdtempSync, openSync, readdirSync, readFileSync, rmSync } from "node:fs";
import http from "node:http";
import { createRequire } from "node:module";
import net from "node:net";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { json } from "node:stream/consumers";
import { fileURLToPath, pathToFileURL } from "node:url";
import { HOST_ENVIRONMENT } from "@version-manager/app-proxy/host";
import type { Launch, ProxyServerStatus, VersionEndpoints } from "@version-manager/app-proxy/host";
import { end } from "../router/namespaces.ts";
import type { Held } from "./inside.ts";

export interface Sample extends Held {
  readonly descriptors: number;
}

const ANSWER_MS = 30_000;

export class Subject {
  readonly port: number;
  readonly #directory: string;
  readonly #child: ChildProcess;

  private constructor(port: number, directory: string, child: ChildProcess) {
    this.port = port;
    this.#directory = directory;
    this.#child = child;
  }

  /** `speed`: of its clock. `service`: which of `module.ts` it runs. */
  static async start(
    service: string,
    speed: number,
    versions: readonly VersionEndpoints[],
  ): Promise<Subject> {
    const directory = mkdtempSync(join(tmpdir(), "vm-soak-"));
    const port = await freePort();
    const log = openSync(join(directory, "log"), "w");
    // A test runner's NODE_OPTIONS name files that the process may not read.
    const command = ["-u", "NODE_OPTIONS", process.execPath];
    const child = spawn("env", [...command, ...argumentsOf({ service, directory, port, versions })], {
      stdio: ["ignore", log, log, "ipc"],
      env: { ...HOST_ENVIRONMENT, PATH: process.env["PATH"], VM_SOAK_SPEED: `${speed}` },
    });
    closeSync(log);
    const subject = new Subject(port, directory, child);
    for (let waited = 0; waited < 100; waited += 1) {
      await sleep(100);
      if (await subject.status().catch(() => undefined)) return subject;
    }
    const words = subject.#log();
    await subject.close();
    throw new Error(`The proxy process did not start: ${words}`);
  }

  get pid(): number {
    return this.#child.pid ?? 0;
  }

  /** Throws Error with the end of its log when the process is not there any more. */
  check(): void {
    if (this.#child.exitCode === null && this.#child.signalCode === null) return;
    throw new Error(`The proxy process died: ${this.#log()}`);
  }

  /** What it holds after a collection of its garbage. */
  async sample(): Promise<Sample> {
    this.check();
    const answer = once(this.#child, "message", { signal: AbortSignal.timeout(ANSWER_MS) });
    this.#child.send("held");
    const [held] = (await answer) as [Held];
    return { ...held, descriptors: readdirSync(`/proc/${this.pid}/fd`).length };
  }

  /** Resident memory now, bytes, without asking the process. */
  resident(): number {
    const [, pages = "0"] = readFileSync(`/proc/${this.pid}/statm`, "utf8").split(" ");
    return Number(pages) * 4096;
  }

  status(): Promise<ProxyServerStatus> {
    return this.#call("GET", "/v1/status") as Promise<ProxyServerStatus>;
  }

  /** Does not wait for requests begun before. */
  async setVersions(versions: readonly VersionEndpoints[]): Promise<void> {
    await this.#call("PUT", "/v1/versions", { versions, timeoutMs: 0 });
  }

  async close(): Promise<void> {
    await end(this.#child);
    rmSync(this.#directory, { recursive: true, force: true });
  }

  #log(): string {
    return readFileSync(join(this.#directory, "log"), "utf8").slice(-1000);
  }

  async #call(method: string, path: string, body?: unknown): Promise<unknown> {
    const socketPath = join(this.#directory, "control");
    const request = http.request({ socketPath, method, path, agent: false, timeout: ANSWER_MS });
    request.on("timeout", () => request.destroy(new Error("the control interface does not answer")));
    request.end(body === undefined ? undefined : JSON.stringify(body));
    const [response] = (await once(request, "response")) as [http.IncomingMessage];
    return json(response);
  }
}

interface Place {
  readonly service: string;
  readonly directory: string;
  readonly port: number;
  readonly versions: readonly VersionEndpoints[];
}

/** As the agent starts it, and the clock on top. */
function argumentsOf({ service, directory, port, versions }: Place): readonly string[] {
  const host = dirname(fileURLToPath(import.meta.resolve("@version-manager/app-proxy/host")));
  const parser = dirname(createRequire(join(host, "main.js")).resolve("http-parser-js"));
  const launch: Launch = {
    service,
    module: join(DIRECTORY, "module.js"),
    control: { path: join(directory, "control") },
    listen: [{ port: "tcp/80", address: `127.0.0.1:${port}` }],
    versions,
  };
  const readable = [dirname(host), parser, DIRECTORY];
  return [
    "--permission",
    ...readable.map((path) => `--allow-fs-read=${path}/`),
    `--allow-fs-write=${directory}/`,
    "--max-old-space-size=256",
    "--expose-gc",
    `--import=${pathToFileURL(join(DIRECTORY, "inside.js")).href}`,
    join(host, "main.js"),
    JSON.stringify(launch),
  ];
}

/** Of the compiled code, also when a test runs the sources. */
const DIRECTORY = join(import.meta.dirname.replace(/\/bench(\/dist)?\/soak$/, "/bench/dist/soak"));

async function freePort(): Promise<number> {
  const server = net.createServer();
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const { port } = server.address() as net.AddressInfo;
  await new Promise((resolve) => server.close(resolve));
  return port;
}
