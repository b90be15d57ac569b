/** The server on the loopback, with real sockets and its control interface. */
import http from "node:http";
import net from "node:net";
import { setTimeout as sleep } from "node:timers/promises";
import t from "tap";
import { createControl } from "../../host/control.ts";
import { ProxyServer, type ProxyServerOptions } from "../../host/proxy-server.ts";
import { createHttpProxy } from "../../index.ts";

const LOOPBACK = { host: "127.0.0.1", port: 0 };

async function version(t: Tap, answer: (response: http.ServerResponse) => void): Promise<string> {
  const server = http.createServer((request, response) => {
    request.resume().on("end", () => answer(response));
  });
  await new Promise<void>((resolve) => server.listen(LOOPBACK, resolve));
  t.teardown(() => {
    server.close();
    server.closeAllConnections();
  });
  return `127.0.0.1:${(server.address() as net.AddressInfo).port}`;
}

async function proxy(t: Tap, options: Partial<ProxyServerOptions> = {}) {
  const server = new ProxyServer({ handlers: createHttpProxy(), ...options });
  const { port } = await server.listen("tcp/80", LOOPBACK);
  t.teardown(() => server.close());
  return { server, port };
}

type Tap = Pick<typeof t, "teardown">;

const at = (number: number, endpoint: string) => ({ version: number, endpoints: { "tcp/80": endpoint } });

const put = (path: string): string => `PUT ${path} HTTP/1.1\r\nHost: h\r\nContent-Length: 1\r\n\r\nx`;

/** A raw client; `text` grows. */
async function connect(port: number) {
  const socket = net.connect(port, "127.0.0.1");
  const client = { socket, text: "", ended: false };
  socket.on("data", (bytes) => (client.text += bytes.toString("latin1")));
  socket.on("end", () => (client.ended = true)).on("error", () => (client.ended = true));
  await new Promise((resolve) => socket.once("connect", resolve));
  return client;
}

async function until(condition: () => boolean): Promise<void> {
  for (let waitedMs = 0; !condition() && waitedMs < 10_000; waitedMs += 10) await sleep(10);
}

t.test("a change of versions settles when writes begun before it are over", async (t) => {
  const waiting: http.ServerResponse[] = [];
  const slow = await version(t, (response) => waiting.push(response));
  const fast = await version(t, (response) => response.end());
  const { server, port } = await proxy(t);
  await server.setVersions([at(1, slow)]);
  const client = await connect(port);
  client.socket.write(put("/a"));
  await until(() => waiting.length === 1);
  let settled = 0;
  const changing = server.setVersions([at(1, slow), at(2, fast)]).then(() => (settled += 1));
  const again = server.setVersions([at(1, slow), at(2, fast)]).then(() => (settled += 1));
  await sleep(100);
  t.equal(settled, 0);
  t.equal(server.status().requestsInFlight, 1);
  waiting[0]?.end();
  await Promise.all([changing, again]);
  await until(() => client.text.includes("200"));
  t.match(client.text, /^HTTP\/1.1 200/);
  client.socket.destroy();
});

t.test("connections beyond the maximum are closed and counted", async (t) => {
  const { server, port } = await proxy(t, { connectionsMax: 1 });
  const first = await connect(port);
  const second = await connect(port);
  await until(() => second.ended);
  t.ok(second.ended);
  t.notOk(first.ended);
  t.match(server.status(), { connections: 1, connectionsRefused: 1 });
  first.socket.destroy();
});

t.test("a flood of half requests is shed, the greediest first", async (t) => {
  const fast = await version(t, (response) => response.end());
  const { server, port } = await proxy(t, { bufferedBytesMax: 2 * 1024 * 1024 });
  await server.setVersions([at(1, fast)]);
  const modest = await connect(port);
  modest.socket.write("PUT /a HTTP/1.1\r\nHost: h\r\nContent-Length: 2000\r\n\r\nx");
  const greedy = await Promise.all([1, 2, 3, 4].map(() => connect(port)));
  for (const { socket } of greedy) {
    socket.write("PUT /a HTTP/1.1\r\nHost: h\r\nContent-Length: 9000000\r\n\r\n");
    socket.write(Buffer.alloc(900_000));
  }
  await until(() => server.status().connectionsShed >= 2);
  await until(() => server.status().bufferedBytes <= 2 * 1024 * 1024);
  t.notOk(modest.ended);
  modest.socket.write("x".repeat(1999));
  await until(() => modest.text !== "");
  t.match(modest.text, /^HTTP\/1.1 200/);
  for (const { socket } of [modest, ...greedy]) socket.destroy();
});

t.test("the control interface", async (t) => {
  const fast = await version(t, (response) => response.end());
  const { server, port } = await proxy(t);
  let exits = 0;
  const event = {
    at: "2026-11-21T00:00:00.000Z",
    kind: "version-quarantined",
    version: 2,
    detail: "",
  } as const;
  let numbers = [1, 2, 3];
  const nobody = (): void => undefined;
  let tell = nobody;
  const control = createControl({
    server,
    about: () => ({ service: "kv" }),
    events: () => numbers.map((number) => ({ ...event, number })),
    onEvent: (told) => {
      tell = told;
      return () => (tell = nobody);
    },
    comparisons: () => [],
    readmit: (version) => version === 2,
    exit: () => void (exits += 1),
  });
  await new Promise<void>((resolve) => control.listen(LOOPBACK, resolve));
  t.teardown(() => {
    control.close();
    control.closeAllConnections();
  });
  const base = `http://127.0.0.1:${(control.address() as net.AddressInfo).port}`;
  const call = async (method: string, path: string, body?: unknown) => {
    const response = await fetch(base + path, {
      method,
      ...(body === undefined ? {} : { body: typeof body === "string" ? body : JSON.stringify(body) }),
    });
    return [response.status, await response.json()];
  };
  t.match(await call("GET", "/v1/status"), [200, { service: "kv", connections: 0, listening: ["tcp/80"] }]);
  t.same(await call("PUT", "/v1/versions", { versions: [at(1, fast)] }), [200, { settled: true }]);
  t.match(await call("GET", "/v1/status"), [200, { versions: [at(1, fast)] }]);
  for (const wrong of [{ versions: [{ version: 0 }] }, {}, { versions: [], more: 1 }, "{", "5"]) {
    t.match(await call("PUT", "/v1/versions", wrong), [400, { code: "E_LAUNCH" }], JSON.stringify(wrong));
  }
  t.match(await call("POST", "/v1/drain", { deadlineMs: -1 }), [400, { code: "E_LAUNCH" }]);
  t.match(await call("GET", "/v1/events?after=1"), [200, { events: [{ number: 2 }, { number: 3 }] }]);
  t.match(await call("GET", "/v1/events"), [200, { events: [event, event, event] }]);
  t.match(await call("GET", "/v1/events?after=x"), [400, { code: "E_LAUNCH" }]);
  t.same(await call("GET", "/v1/events?after=3&waitMs=50"), [200, { events: [] }], "none comes in time");
  const next = call("GET", "/v1/events?after=3&waitMs=60000");
  await until(() => tell !== nobody);
  numbers = [1, 2, 3, 4];
  tell();
  t.match(await next, [200, { events: [{ number: 4 }] }], "the next is told at once");
  t.match(await call("GET", "/v1/events?waitMs=60001"), [400, { code: "E_LAUNCH" }]);
  t.same(await call("GET", "/v1/compare"), [200, { comparisons: [] }]);
  t.same(await call("POST", "/v1/readmit", { version: 2 }), [200, { readmitted: true }]);
  t.same(await call("POST", "/v1/readmit", { version: 1 }), [200, { readmitted: false }]);
  t.match(await call("POST", "/v1/readmit", {}), [400, { code: "E_LAUNCH" }]);
  t.match(await call("GET", "/v1/nothing"), [404, { code: "E_NO_SUCH_CALL" }]);
  const stubborn = await connect(port);
  stubborn.socket.write("PUT /a HTTP/1.1\r\nHost: h\r\nContent-Length: 9\r\n\r\nhalf");
  await until(() => server.status().bufferedBytes > 0);
  t.same(await call("POST", "/v1/drain", { deadlineMs: 200 }), [200, { remaining: 1 }]);
  t.equal(exits, 0);
  stubborn.socket.destroy();
  t.same(await call("POST", "/v1/drain", { deadlineMs: 10_000, exit: true }), [200, { remaining: 0 }]);
  await until(() => exits === 1);
  t.equal(exits, 1);
});

t.test("a large body each way, through slow hands", async (t) => {
  const body = Buffer.alloc(8 * 1024 * 1024, "0123456789");
  const large = await version(t, (response) => response.end(body));
  const { server, port } = await proxy(t);
  await server.setVersions([at(1, large)]);
  const client = net.connect(port, "127.0.0.1");
  client.write(`PUT /a HTTP/1.1\r\nHost: h\r\nContent-Length: ${body.length}\r\n\r\n`);
  client.write(body);
  const received: Buffer[] = [];
  let bytes = 0;
  for await (const chunk of client as AsyncIterable<Buffer>) {
    received.push(chunk);
    bytes += chunk.length;
    if (bytes > body.length) break;
    await sleep(1);
  }
  t.ok(Buffer.concat(received).subarray(-body.length).equals(body));
});
