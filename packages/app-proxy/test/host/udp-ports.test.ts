/** UDP ports of a proxy server on the loopback: beside TCP ports, bounded, refused to handlers that cannot serve them. */
import dgram from "node:dgram";
import { once } from "node:events";
import net from "node:net";
import t from "tap";
import { ProxyServer, type ProxyServerOptions } from "../../host/proxy-server.ts";
import { createProxy, datagramFraming, linesFraming } from "../../index.ts";

const LOOPBACK = { host: "127.0.0.1", port: 0 };
const echo = (): ReturnType<typeof createProxy> =>
  createProxy({ framing: datagramFraming(), classify: () => ({ kind: "read" }) });

async function version(test: Pick<typeof t, "teardown">): Promise<string> {
  const socket = dgram.createSocket("udp4");
  socket.on("message", (bytes, { address, port }) => socket.send(bytes, port, address));
  socket.bind(0, LOOPBACK.host);
  await once(socket, "listening");
  test.teardown(() => socket.close());
  return `127.0.0.1:${socket.address().port}`;
}

function started(test: Pick<typeof t, "teardown">, options: ProxyServerOptions): ProxyServer {
  const server = new ProxyServer(options);
  test.teardown(() => server.close());
  return server;
}

async function ask(test: Pick<typeof t, "teardown">, port: number, text: string): Promise<string> {
  const socket = dgram.createSocket("udp4");
  test.teardown(() => socket.close());
  socket.send(text, port, LOOPBACK.host);
  const [bytes, from] = (await once(socket, "message")) as [Buffer, dgram.RemoteInfo];
  return from.port === port ? String(bytes) : `from ${from.port}`;
}

t.test("a service with a TCP and a UDP port, each with handlers of its own", async (t) => {
  const server = started(t, {
    handlers: {
      ...createProxy({ framing: linesFraming({ failure: (kind) => kind }) }),
      datagrams: echo(),
    },
  });
  await server.setVersions([{ version: 1, endpoints: { "udp/53": await version(t) } }]);
  const tcp = await server.listen("tcp/53", LOOPBACK);
  const udp = await server.listen("udp/53", LOOPBACK);
  t.equal(await ask(t, udp.port, "hello"), "hello");
  const socket = net.connect(tcp.port, LOOPBACK.host);
  t.teardown(() => socket.destroy());
  await once(socket, "connect");
  t.same(server.status().listening, ["tcp/53", "udp/53"]);
  t.match(server.status(), {
    flows: 1,
    requestsInFlight: 0,
    datagrams: { overflowed: 0, failed: 0, evicted: 0 },
  });
});

t.test(
  "more clients than may be: the one quiet longest is forgotten, and served anew when it speaks",
  async (t) => {
    const server = started(t, { handlers: echo(), flowLimits: { flowsMax: 2 } });
    await server.setVersions([{ version: 1, endpoints: { "udp/53": await version(t) } }]);
    const { port } = await server.listen("udp/53", LOOPBACK);
    for (const text of ["a", "b", "c", "d"]) t.equal(await ask(t, port, text), text);
    t.match(server.status(), { flows: 2, serverConnections: 2, datagrams: { evicted: 2 } });
  },
);

t.test("handlers that cannot serve a port are refused", async (t) => {
  const streams = started(t, { handlers: createProxy({ framing: linesFraming() }) });
  await t.rejects(streams.listen("udp/53", LOOPBACK), { code: "E_MODULE" });
  const datagrams = started(t, { handlers: echo() });
  await t.rejects(datagrams.listen("tcp/53", LOOPBACK), { code: "E_MODULE" });
});

t.test("draining: a UDP port is closed when its clients are silent", async (t) => {
  const server = started(t, { handlers: echo(), flowLimits: { drainQuietMs: 50 } });
  await server.setVersions([{ version: 1, endpoints: { "udp/53": await version(t) } }]);
  const { port } = await server.listen("udp/53", LOOPBACK);
  t.equal(await ask(t, port, "a"), "a");
  t.same(await server.drain(20_000), { remaining: 0 });
  t.equal(server.status().flows, 0);
  t.same(server.status().listening, []);
});
