/** Requests in datagrams: who is answered, what is sent again, and what is not. */
import t from "tap";
import { createProxy, datagramFraming, type ProxyOptions } from "../../index.ts";
import { DatagramHarness, type DatagramHarnessOptions } from "../../testing/index.ts";

/** `7 set k v`, `7 get k`; replies begin with the id. */
const framing = datagramFraming<string, string>({
  decodeRequest: (bytes) => (/^\d+ (get|set) /.test(String(bytes)) ? String(bytes) : undefined),
  decodeReply: (bytes) => (/^\d+ /.test(String(bytes)) ? String(bytes) : undefined),
  encodeRequest: (text) => Buffer.from(text),
  encodeReply: (text) => Buffer.from(text),
  idOf: { request: (text) => text.split(" ")[0] ?? "", reply: (text) => text.split(" ")[0] ?? "" },
  classify: (text) => ({
    kind: text.includes(" get ") ? "read" : "write",
    key: text.split(" ")[2] ?? "",
  }),
  isSuccess: (reply) => !reply.endsWith("none"),
});

type Serve = DatagramHarnessOptions["serve"];

function scene(serve: Serve, more: Partial<DatagramHarnessOptions & ProxyOptions<string, string>> = {}) {
  const { choose, fate, limits: _limits, ...options } = more;
  const handlers = createProxy<string, string>({ framing, ...options });
  const harness = new DatagramHarness({
    handlers,
    versions: [1, 2],
    serve,
    ...(choose === undefined ? {} : { choose }),
    ...(fate === undefined ? {} : { fate }),
  });
  return { handlers, harness, client: harness.connect() };
}

function stores() {
  const applied: string[] = [];
  const data = new Map([1, 2].map((version) => [version, new Map<string, string>()]));
  const serve: Serve = (version, bytes) => {
    const [id, what, key = "", value = ""] = String(bytes).split(" ");
    const store = data.get(version) as Map<string, string>;
    if (what === "get") return Buffer.from(`${id} ${store.get(key) ?? "none"}`);
    applied.push(`${version}: ${String(bytes)}`);
    store.set(key, value);
    return Buffer.from(`${id} ok`);
  };
  return { applied, data, serve };
}

const texts = (received: readonly Buffer[]): string[] => received.map(String);

t.test("a write reaches all versions and is answered once; a read falls back to the older", async (t) => {
  const { applied, data, serve } = stores();
  data.get(1)?.set("old", "1");
  const { client, harness } = scene(serve);
  client.send("1 set k v");
  client.send("2 get k");
  client.send("3 get old");
  await harness.run();
  t.same(texts(client.received).toSorted(), ["1 ok", "2 v", "3 1"].toSorted());
  t.same(applied.toSorted(), ["1: 1 set k v", "2: 1 set k v"]);
  t.equal(client.linkCount, 2, "one socket per version, whatever the number of requests");
  t.equal(harness.requestsInFlight, 0);
});

t.test("each client gets its own answer, also with the same ids", async (t) => {
  const { client, harness } = scene((_version, bytes, source) =>
    Buffer.from(`${String(bytes).split(" ")[0]} for ${source.split("/")[0]}`),
  );
  const other = harness.connect();
  client.send("1 get k");
  other.send("1 get k");
  await harness.run();
  t.same(texts(client.received), [`1 for ${client.name}`]);
  t.same(texts(other.received), [`1 for ${other.name}`]);
});

t.test(
  "a lost answer: the repeated write is answered from memory, and no version does it twice",
  async (t) => {
    let lose = true;
    const { applied, serve } = stores();
    const { client, harness } = scene(serve, {
      fate: (leg) => (leg === "proxy-client" && lose ? "lost" : "arrives"),
    });
    client.send("1 set k v");
    await harness.run();
    lose = false;
    client.send("1 set k v");
    await harness.run();
    t.same(texts(client.received), ["1 ok"]);
    t.equal(applied.length, 2, "once at each version");
    client.send("1 set k w");
    await harness.run();
    t.equal(applied.length, 4, "the same id with other bytes is another request");
  },
);

t.test("a reply of one version is lost: a repetition goes to that version only", async (t) => {
  let lost = 0;
  const { applied, serve } = stores();
  const { client, harness } = scene(serve, {
    fate: (leg) => (leg === "server-proxy" && (lost += 1) === 1 ? "lost" : "arrives"),
  });
  client.send("1 set k v");
  await harness.advance(50);
  client.send("1 set k v");
  await harness.advance(50);
  t.same(applied.length, 2, "too early: a duplicate of the network, not sent on");
  await harness.advance(500);
  client.send("1 set k v");
  await harness.run();
  t.same(texts(client.received), ["1 ok"]);
  t.same(applied.length, 3);
  t.equal(new Set(applied).size, 2);
});

t.test(
  "nobody answers in time: no answer is invented, and a later try asks only who did not reply",
  async (t) => {
    let silent = true;
    const { applied, serve } = stores();
    const { client, harness } = scene((version, bytes, source) =>
      version === 2 && silent ? undefined : serve(version, bytes, source),
    );
    client.send("1 set k v");
    await harness.advance(6_000);
    t.same(client.received, []);
    t.equal(harness.requestsInFlight, 0);
    silent = false;
    client.send("1 set k v");
    await harness.advance(10);
    t.same(texts(client.received), ["1 ok"]);
    t.same(applied.toSorted(), ["1: 1 set k v", "2: 1 set k v"]);
  },
);

t.test("doubled replies, replies nobody asked for and nonsense go nowhere, and are counted", async (t) => {
  const { client, handlers, harness } = scene((_version, bytes) => {
    const id = String(bytes).split(" ")[0];
    return [Buffer.from(`${id} v`), Buffer.from(`${id} v`), Buffer.from("99 x"), Buffer.from("nonsense")];
  });
  client.send("1 get k");
  client.send("nonsense");
  await harness.run();
  t.same(texts(client.received), ["1 v"]);
  t.same(handlers.datagramDrops(), { malformed: 1, busy: 0, unasked: 3 });
});

t.test("a refused version: reads are answered by the other, writes by nobody", async (t) => {
  const { serve } = stores();
  const { client, harness } = scene((version, bytes, source) =>
    version === 2 ? "refuse" : serve(version, bytes, source),
  );
  client.send("1 get k");
  await harness.run();
  client.send("2 set k v");
  await harness.advance(10_000);
  t.same(texts(client.received), ["1 none"]);
  t.equal(harness.requestsInFlight, 0);
});

t.test("quarantine: a version that never answers is kept out, and writes succeed again", async (t) => {
  const { serve } = stores();
  const { client, handlers, harness } = scene(
    (version, bytes, source) => (version === 2 ? undefined : serve(version, bytes, source)),
    { sickVersions: "quarantine" },
  );
  for (const id of [1, 2, 3]) {
    client.send(`${id} set k v`);
    await harness.advance(6_000);
  }
  t.same(handlers.quarantined(), [2]);
  client.send("4 set k v");
  await harness.run();
  t.ok(texts(client.received).includes("4 ok"));
});

t.test("a version is retired while it owes replies: the other's answer is the client's", async (t) => {
  const { serve } = stores();
  const { client, harness } = scene((version, bytes, source) =>
    version === 1 ? undefined : serve(version, bytes, source),
  );
  client.send("1 set k v");
  await harness.run();
  t.same(client.received, []);
  harness.setVersions([2]);
  await harness.run();
  t.same(texts(client.received), ["1 ok"]);
});

t.test("translation and a shadow work as for streams", async (t) => {
  const pairs: string[] = [];
  const { client, harness } = scene(
    (version, bytes) => Buffer.from(`${String(bytes).split(" ")[0]} v${version} ${String(bytes)}`),
    {
      transformRequest: (request, version) => (version === 2 ? request.replace(" k", " K") : request),
      transformReply: (reply, version) => `${reply}!${version}`,
      shadow: { onReply: ({ shadowReply }) => pairs.push(shadowReply) },
    },
  );
  client.send("1 get k");
  await harness.run();
  t.same(texts(client.received), ["1 v1 1 get k!1"]);
  t.same(pairs, ["1 v2 1 get K!2"]);
});

t.test("all are asked, the first answer counts; who never answers does not pile up", async (t) => {
  const { client, harness } = scene(
    (version, bytes) => (version === 2 ? undefined : Buffer.from(`${String(bytes).split(" ")[0]} v`)),
    { reads: "first" },
  );
  for (let id = 0; id < 200; id += 1) {
    client.send(`${id} get k`);
    await harness.advance(200);
  }
  t.equal(client.received.length, 200);
  t.equal(harness.requestsInFlight, 0);
});

t.test(
  "without ids: one after the other, each from a fresh port; doubled and late replies meet nobody",
  async (t) => {
    const sources: string[] = [];
    const handlers = createProxy({ framing: datagramFraming(), classify: () => ({ kind: "read" }) });
    const harness = new DatagramHarness({
      handlers,
      versions: [2],
      serve: (_version, bytes, source) => {
        sources.push(source);
        return [bytes, bytes];
      },
    });
    const client = harness.connect();
    for (const text of ["a", "b", "c"]) client.send(text);
    await harness.advance(1_000);
    t.same(texts(client.received), ["a", "b", "c"]);
    t.equal(new Set(sources).size, 3);
  },
);

t.test("handlers of one's own: a datagram is a call, an enqueued buffer a datagram", async (t) => {
  const harness = new DatagramHarness({
    handlers: {
      handleRequest: async (_version, buffer, connection) => {
        await Promise.resolve();
        for (const version of connection.versions()) connection.enqueue(version, buffer.slice());
        return buffer.length;
      },
      handleReply: (version, buffer, connection) => {
        buffer.append(Buffer.from(`@${version}`));
        connection.enqueueClient(buffer);
        return 0;
      },
    },
    versions: [1, 2],
    serve: (_version, bytes) => bytes,
  });
  const client = harness.connect();
  client.send("a");
  client.send("");
  client.send("bc");
  await harness.run();
  t.same(texts(client.received), ["a@1", "a@2", "@1", "@2", "bc@1", "bc@2"]);
});

t.test("a quiet flow is forgotten with its sockets", async (t) => {
  const { serve } = stores();
  const { client, harness } = scene(serve);
  client.send("1 get k");
  await harness.advance(59_000);
  t.equal(client.linkCount, 2);
  await harness.advance(2_000);
  t.equal(client.linkCount, 0);
});
