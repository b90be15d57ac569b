import { createServer, type AddressInfo, type Server, type Socket } from "node:net";
import t, { type Test } from "tap";
import { HttpClient } from "../../load/http-client.ts";

const REPLY = "HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok";

/** A server that does what the test says with each request of each connection; both are numbered from 1. */
async function serve(
  t: Test,
  onRequest: (socket: Socket, connection: number, request: number) => void,
  timeoutMs = 60_000,
) {
  let connections = 0;
  const sockets = new Set<Socket>();
  const server: Server = createServer((socket) => {
    const connection = ++connections;
    let requests = 0;
    sockets.add(socket);
    socket.on("error", () => undefined);
    socket.on("data", () => onRequest(socket, connection, ++requests));
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const client = new HttpClient({ timeoutMs, requestsPerConnection: 3 });
  t.teardown(() => {
    client.close();
    for (const socket of sockets) socket.destroy();
    server.close();
  });
  const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  return { get: () => client.request(url, "GET", "/"), connections: () => connections };
}

t.test("connections are reused, and recycled after their number of requests", async (t) => {
  const { get, connections } = await serve(t, (socket) => socket.write(REPLY));
  for (let number = 1; number <= 4; number += 1)
    t.match(await get(), { kind: "answer", status: 200, body: "ok", retried: false });
  t.equal(connections(), 2);
});

t.test("a reused connection that is closed before any answer is retried once, on a new one", async (t) => {
  const { get, connections } = await serve(t, (socket, connection, request) => {
    if (connection === 1 && request === 2) socket.destroy();
    else socket.write(REPLY);
  });
  await get();
  t.match(await get(), { kind: "answer", body: "ok", retried: true });
  t.equal(connections(), 2);
});

t.test("the retry is not retried", async (t) => {
  const { get, connections } = await serve(t, (socket, connection, request) => {
    if (connection === 1 && request === 1) socket.write(REPLY);
    else socket.destroy();
  });
  await get();
  t.match(await get(), { kind: "failure", reason: "reset", retried: true });
  t.equal(connections(), 2);
});

t.test("a new connection that is closed without an answer is a failure", async (t) => {
  const { get, connections } = await serve(t, (socket) => socket.destroy());
  t.match(await get(), { kind: "failure", reason: "reset", retried: false });
  t.equal(connections(), 1);
});

t.test("an answer that breaks off is a failure, also on a reused connection", async (t) => {
  const { get } = await serve(t, (socket, _connection, request) => {
    if (request === 1) socket.write(REPLY);
    else socket.end(REPLY.slice(0, -1));
  });
  await get();
  t.match(await get(), { kind: "failure", reason: "reset", retried: false });
});

t.test("the first bytes of an answer forbid the retry", async (t) => {
  const { get } = await serve(t, (socket, _connection, request) => {
    if (request === 1) socket.write(REPLY);
    else socket.end("HTTP/1.1 2");
  });
  await get();
  t.match(await get(), { kind: "failure", retried: false });
});

t.test("silence ends at the deadline", async (t) => {
  const { get } = await serve(t, () => undefined, 100);
  t.match(await get(), { kind: "failure", reason: "timeout", retried: false });
});

t.test("a port that nobody listens on is a failure to connect", async (t) => {
  const client = new HttpClient({ timeoutMs: 60_000, requestsPerConnection: 3 });
  t.match(await client.request("http://127.0.0.1:1", "GET", "/"), {
    kind: "failure",
    reason: "connect",
    retried: false,
  });
});
