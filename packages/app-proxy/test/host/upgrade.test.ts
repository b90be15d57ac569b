/** The whole way of an upgrade through one proxy under pipelined load: nothing fails, no acknowledged write is missed. */
import http from "node:http";
import net from "node:net";
import { setTimeout as sleep } from "node:timers/promises";
import t from "tap";
import { ProxyServer } from "../../host/proxy-server.ts";
import { createHttpProxy } from "../../index.ts";
import { repliesIn } from "../../testing/index.ts";

const LOOPBACK = { host: "127.0.0.1", port: 0 };
const CLIENTS = 8;
const PIPELINE = 4;

interface Store {
  readonly items: Map<string, string>;
  readonly endpoint: string;
}

/** Takes `delayMs()` before it stores, and again before it answers. */
async function store(t: Pick<Tap, "teardown">, delayMs: () => number): Promise<Store> {
  const items = new Map<string, string>();
  const server = http.createServer((request, response) => {
    const chunks: Buffer[] = [];
    request.on("data", (chunk: Buffer) => chunks.push(chunk));
    const answer = async (): Promise<void> => {
      const key = request.url ?? "";
      await sleep(delayMs());
      if (request.method === "PUT") items.set(key, Buffer.concat(chunks).toString());
      const value = items.get(key);
      await sleep(delayMs());
      response.statusCode = value === undefined ? 404 : 200;
      response.end(value);
    };
    request.on("end", () => void answer());
  });
  await new Promise<void>((resolve) => server.listen(LOOPBACK, resolve));
  t.teardown(() => {
    server.close();
    server.closeAllConnections();
  });
  return { items, endpoint: `127.0.0.1:${(server.address() as net.AddressInfo).port}` };
}

type Tap = typeof t;

interface Outcome {
  requests: number;
  readonly faults: string[];
  /** Per key the value of the last acknowledged write. */
  readonly acknowledged: Map<string, string>;
}

/** Sends batches of PUT, GET … of its own keys down one connection until told to stop. */
async function client(id: number, port: number, running: () => boolean, outcome: Outcome): Promise<void> {
  const socket = net.connect(port, "127.0.0.1");
  for (let round = 0; running(); round += 1) {
    const batch = Array.from({ length: PIPELINE }, (_, n) => {
      // Written once: a write that misses a version is not made good by the next one.
      const key = `/${id}/${round * PIPELINE + n}`;
      return { key, value: `${id}-${round}-${n}` };
    });
    const methods = batch.flatMap(() => ["PUT", "GET"]);
    for (const { key, value } of batch) {
      socket.write(`PUT ${key} HTTP/1.1\r\nHost: h\r\nContent-Length: ${value.length}\r\n\r\n${value}`);
      socket.write(`GET ${key} HTTP/1.1\r\nHost: h\r\n\r\n`);
    }
    const replies = await receive(socket, methods);
    for (const [index, reply] of replies.entries()) {
      const { key, value } = batch[Math.floor(index / 2)] ?? { key: "", value: "" };
      const body = Buffer.from(reply.body).toString();
      outcome.requests += 1;
      if (reply.status !== 200 || body !== value)
        outcome.faults.push(`${methods[index]} ${key}: ${reply.status} ${body}`);
      else if (methods[index] === "PUT") outcome.acknowledged.set(key, value);
    }
  }
  socket.destroy();
}

async function receive(socket: net.Socket, methods: readonly string[]) {
  let text = Buffer.alloc(0);
  for (;;) {
    const bytes = await new Promise<Buffer>((resolve, reject) => {
      socket.once("data", resolve);
      socket.once("close", () => reject(new Error("the connection was closed")));
    });
    socket.removeAllListeners("close");
    text = Buffer.concat([text, bytes]);
    try {
      const replies = repliesIn(text, methods);
      if (replies.length === methods.length) return replies;
    } catch {
      // Not all of it is here.
    }
  }
}

t.test("from version 1 over both to version 2", async (t) => {
  let seed = 7;
  const delayMs = (): number => (seed = (seed * 48_271) % 2_147_483_647) % 4;
  const one = await store(t, delayMs);
  const two = await store(t, delayMs);
  for (let n = 0; n < 200; n += 1) one.items.set(`/old/${n}`, `old-${n}`);
  const at = (version: number, { endpoint }: Store) => ({ version, endpoints: { "tcp/80": endpoint } });
  const proxy = new ProxyServer({ handlers: createHttpProxy() });
  t.teardown(() => proxy.close());
  await proxy.setVersions([at(1, one)]);
  const { port } = await proxy.listen("tcp/80", LOOPBACK);

  const outcome: Outcome = { requests: 0, faults: [], acknowledged: new Map() };
  const state = { running: true };
  const clients = Array.from({ length: CLIENTS }, (_, id) => client(id, port, () => state.running, outcome));
  await sleep(300);
  await proxy.setVersions([at(1, one), at(2, two)]);
  // The migrator: what version 2 does not have by now. Every write from now on reaches it anyway.
  for (const [key, value] of one.items) if (!two.items.has(key)) two.items.set(key, value);
  await sleep(300);
  await proxy.setVersions([at(2, two)]);
  await sleep(300);
  state.running = false;
  await Promise.all(clients);

  t.same(outcome.faults, []);
  // How many depends on how busy the machine is; that there were many is what counts.
  t.ok(outcome.requests > 50, `${outcome.requests} requests`);
  const missing = [...outcome.acknowledged].filter(([key, value]) => two.items.get(key) !== value);
  t.same(missing, [], "every acknowledged write can be read from version 2 alone");
  t.equal([...two.items.keys()].filter((key) => key.startsWith("/old/")).length, 200);
});
