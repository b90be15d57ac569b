/** What the tests of the supervisor share: fake versions of a key-value service, a proxy module, a client. */
import dgram from "node:dgram";
import { mkdtempSync, mkdirSync, rmSync, writeFileSync, chmodSync } from "node:fs";
import http from "node:http";
import { createRequire } from "node:module";
import net from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";

interface SpawnOptions {
  readonly args: readonly string[];
  env: Record<string, string>;
}

/**
 * tap makes every Node process that a test starts load its instrumentation, by the environment; a process that may
 * read nothing cannot. Proxies get the empty environment that the supervisor gave them.
 */
export function withoutInstrumentation(): void {
  const { addListener } = createRequire(import.meta.url)("process-on-spawn") as {
    readonly addListener: (listener: (options: SpawnOptions) => void) => void;
  };
  addListener((options) => {
    if (options.args.includes("--permission")) options.env = {};
  });
}

export interface FakeVersion {
  readonly endpoint: string;
  readonly items: Map<string, string>;
  close(): void;
}

/** PUT stores, GET answers 200 or 404, each after `delayMs`. */
export async function fakeVersion(name: string, delayMs = 0): Promise<FakeVersion> {
  const items = new Map<string, string>();
  const server = http.createServer((request, response) => {
    const chunks: Buffer[] = [];
    request.on("data", (chunk: Buffer) => chunks.push(chunk));
    request.on("end", () => {
      const key = request.url ?? "";
      if (request.method === "PUT") items.set(key, Buffer.concat(chunks).toString());
      const value = items.get(key);
      response.statusCode = value === undefined ? 404 : 200;
      response.setHeader("x-version", name);
      setTimeout(() => response.end(value), delayMs);
    });
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const { port } = server.address() as net.AddressInfo;
  return {
    endpoint: `127.0.0.1:${port}`,
    items,
    close() {
      server.close();
      server.closeAllConnections();
    },
  };
}

export interface Stage {
  readonly runDirectory: string;
  readonly logDirectory: string;
  readonly modulePath: string;
  writeModule(name: string, source: string): string;
  remove(): void;
}

export function makeStage(): Stage {
  const root = mkdtempSync(join(tmpdir(), "vm-proxy-test-"));
  chmodSync(root, 0o755);
  for (const directory of ["run", "log", "module"]) mkdirSync(join(root, directory));
  const writeModule = (name: string, source: string): string => {
    const path = join(root, "module", name);
    writeFileSync(path, source, { mode: 0o644 });
    return path;
  };
  return {
    runDirectory: join(root, "run"),
    logDirectory: join(root, "log"),
    modulePath: writeModule("proxy.js", "export default (toolkit) => toolkit.createHttpProxy();\n"),
    writeModule,
    remove: () => rmSync(root, { recursive: true, force: true }),
  };
}

/**
 * A port that nobody has just now, by TCP or UDP, out of those that the kernel gives to nobody by itself: other tests
 * run at the same time, and their sockets must not get it before it is used.
 */
export async function freePort(): Promise<number> {
  for (;;) {
    const port = 10_000 + Math.floor(Math.random() * 20_000);
    if ((await canListen(port)) && (await canBind(port))) return port;
  }
}

function canListen(port: number): Promise<boolean> {
  const server = net.createServer();
  return new Promise((resolve) => {
    server.once("error", () => resolve(false));
    server.listen(port, "127.0.0.1", () => server.close(() => resolve(true)));
  });
}

function canBind(port: number): Promise<boolean> {
  const socket = dgram.createSocket("udp4");
  return new Promise((resolve) => {
    socket.once("error", () => resolve(false));
    socket.bind(port, "127.0.0.1", () => socket.close(() => resolve(true)));
  });
}

export interface Answer {
  readonly status: number;
  readonly body: string;
  readonly closes: boolean;
}

export function ask(
  agent: http.Agent | false,
  port: number,
  method: string,
  path: string,
  body?: string,
): Promise<Answer> {
  return new Promise((resolve, reject) => {
    const request = http.request({ agent, host: "127.0.0.1", port, method, path }, (response) => {
      const chunks: Buffer[] = [];
      response.on("data", (chunk: Buffer) => chunks.push(chunk));
      response.on("error", reject);
      response.on("end", () =>
        resolve({
          status: response.statusCode ?? 0,
          body: Buffer.concat(chunks).toString(),
          closes: response.headers.connection === "close",
        }),
      );
    });
    request.on("error", reject);
    request.end(body);
  });
}

export interface Load {
  readonly answered: number;
  /** Statuses and codes. */
  readonly failures: readonly string[];
  stop(): Promise<void>;
}

/** Clients that write one key after the other, each new connection to `portNow()`. */
export function startLoad(clients: number, keepAlive: boolean, portNow: () => number): Load {
  const load = { answered: 0, failures: [] as string[], running: true };
  const client = async (id: number): Promise<void> => {
    let agent = new http.Agent({ keepAlive, maxSockets: 1 });
    let port = portNow();
    for (let n = 0; load.running; n += 1) {
      try {
        const { status, closes } = await ask(agent, port, "PUT", `/${id}/${n}`, "x");
        if (status === 200) load.answered += 1;
        else load.failures.push(String(status));
        if (!closes) continue;
        agent.destroy();
        agent = new http.Agent({ keepAlive, maxSockets: 1 });
        port = portNow();
      } catch (error) {
        load.failures.push((error as NodeJS.ErrnoException).code ?? String(error));
      }
    }
    agent.destroy();
  };
  const running = Array.from({ length: clients }, (_, id) => client(id));
  return {
    get answered() {
      return load.answered;
    },
    failures: load.failures,
    async stop() {
      load.running = false;
      await Promise.all(running);
    },
  };
}
