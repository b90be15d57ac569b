/** The examples of docs/PROXY.md do what the page says. */
import { readFile } from "node:fs/promises";
import t from "tap";
import { toolkit, type ProxyFactory } from "../index.ts";
import {
  DatagramHarness,
  framedServer,
  Harness,
  httpServer,
  repliesIn,
  type FakeReply,
} from "../testing/index.ts";

/** The proxies of the page, in its order. */
async function examplesOfTheGuide(): Promise<{ readonly factory: ProxyFactory; readonly lines: number }[]> {
  const guide = await readFile(new URL("../../../docs/PROXY.md", import.meta.url), "utf8");
  const [worked = ""] = guide.split("### Testing them");
  const sources = [...worked.matchAll(/```js\n([^]*?)```/g)].map(([, source = ""]) => source);
  return Promise.all(
    sources
      .filter((source) => source.includes("export default"))
      .map(async (source) => {
        const url = `data:text/javascript,${encodeURIComponent(source)}`;
        const module: { default: ProxyFactory } = await import(url);
        return { factory: module.default, lines: source.split("\n").length };
      }),
  );
}

async function example(index: number): Promise<ProxyFactory> {
  const found = (await examplesOfTheGuide())[index];
  if (found === undefined) throw new Error(`the guide has no example ${index}`);
  return found.factory;
}

t.test("there are four, of less than a hundred lines each", async (t) => {
  const examples = await examplesOfTheGuide();
  t.equal(examples.length, 4);
  for (const { lines } of examples) t.ok(lines < 100);
});

t.test("an order is written to both versions and read from the newest that has it", async (t) => {
  const factory = await example(0);
  const stores = new Map<string, string>([["1 /orders/old", '{"sum":3}']]);
  const serve = (
    { method, target, body }: { method: string; target: string; body: Uint8Array },
    version: number,
  ) => {
    const key = `${version} ${target}`;
    if (method === "PUT") stores.set(key, Buffer.from(body).toString());
    const value = stores.get(key);
    return (value === undefined ? { status: 404 } : { status: 200, body: value }) satisfies FakeReply;
  };
  const harness = new Harness({
    handlers: await factory(toolkit, { service: "shop", log: () => undefined }),
    versions: [1, 2],
    serve: (side) => httpServer(side, serve),
    cut: () => 1,
  });
  const client = harness.connect();
  client.send('PUT /orders/7 HTTP/1.1\r\nHost: h\r\nContent-Length: 9\r\n\r\n{"sum":5}');
  for (const order of ["7", "old", "none"]) client.send(`GET /orders/${order} HTTP/1.1\r\nHost: h\r\n\r\n`);
  client.send("PUT /orders/8 HTTP/1.1\r\nHost: h\r\nContent-Length: 1\r\n\r\n{");
  await harness.run();
  const replies = repliesIn(client.received, ["PUT", "GET", "GET", "GET", "PUT"]);
  t.same(
    replies.map(({ status }) => status),
    [200, 200, 200, 404, 500],
  );
  t.same(
    replies.slice(1, 3).map(({ body }) => JSON.parse(Buffer.from(body).toString())),
    [{ sum: 5 }, { sum: 3 }],
  );
  t.equal(stores.get("1 /orders/7"), '{"sum":5}');
  t.equal(stores.get("2 /v2/orders/7"), '{"amount":5,"currency":"EUR"}');
});

t.test("sessions: keys get their prefix at version 2 only, and a sick version is kept out", async (t) => {
  const framing = toolkit.respFraming();
  const stores = new Map([1, 2].map((version) => [version, new Map<string, string>()]));
  stores.get(1)?.set("old", "1");
  let sick = false;
  const handlers = await (await example(1))(toolkit, { service: "sessions", log: () => undefined });
  const harness = new Harness({
    handlers,
    versions: [1, 2],
    serve: (side) =>
      framedServer(side, framing, ({ name, words }, version) => {
        const [, key, value] = words.map(String);
        const store = stores.get(version);
        if (sick && version === 2) return "reset";
        if (name === "SET") store?.set(key ?? "", value ?? "");
        if (name !== "GET") return toolkit.respEncode("OK");
        const found = store?.get(key ?? "");
        return toolkit.respEncode(found === undefined ? null : Buffer.from(found));
      }),
    cut: () => 1,
  });
  const client = harness.connect();
  const ask = async (...words: string[]): Promise<string> => {
    const before = client.received.length;
    client.send(Buffer.concat(framing.encodeRequest(toolkit.respRequest(...words))));
    await harness.advance(100);
    return client.received.subarray(before).toString();
  };
  t.equal(await ask("AUTH", "x"), "+OK\r\n");
  t.equal(await ask("SET", "k", "v"), "+OK\r\n");
  t.same(
    [...(stores.get(1) ?? [])],
    [
      ["old", "1"],
      ["k", "v"],
    ],
  );
  t.same([...(stores.get(2) ?? [])], [["s:k", "v"]]);
  t.equal(await ask("GET", "k"), "$1\r\nv\r\n");
  t.equal(await ask("GET", "old"), "$1\r\n1\r\n");
  t.match(await ask("MULTI"), /^-ERR/);
  sick = true;
  t.match(await ask("SET", "k", "1"), /^-ERR BROKEN/);
  t.match(await ask("SET", "k", "2"), /^-ERR BROKEN/);
  t.equal(await ask("SET", "k", "3"), "+OK\r\n");
  t.equal(await ask("GET", "k"), "$1\r\n3\r\n");
});

t.test("scoreboard: three versions, the third only watched", async (t) => {
  const framing = toolkit.linesFraming({ delimiter: "\r\n" });
  const logged: string[] = [];
  const arrived: string[] = [];
  const handlers = await (await example(2))(toolkit, { service: "scores", log: (line) => logged.push(line) });
  const harness = new Harness({
    handlers,
    versions: [1, 2, 3],
    serve: (side) =>
      framedServer(side, framing, (line, version) => {
        arrived.push(`${version} ${line}`);
        if (!line.startsWith("top")) return "ok";
        return version === 1 ? "ann 7" : version === 2 ? "ann 7, bob 5" : "ann 700, bob 600";
      }),
    cut: () => 1,
  });
  const client = harness.connect();
  client.send("add ann 7\r\ntop\r\n");
  await harness.run();
  t.equal(client.received.toString(), "ok\r\nann 7, bob 5\r\n");
  t.same(arrived.filter((each) => !each.endsWith("top")).toSorted(), [
    "1 add ann 7",
    "2 SCORE ann 7",
    "3 SCORE ann 700",
  ]);
  t.same(logged, ["1 differ; top: ann 7, bob 5 but ann 700, bob 6"]);
});

t.test("names: datagrams, two spellings and two shapes of an address", async (t) => {
  const names = new Map<string, string>([["1 old", "10.0.0.9"]]);
  const harness = new DatagramHarness({
    handlers: await (await example(3))(toolkit, { service: "names", log: () => undefined }),
    versions: [1, 2],
    serve: (version, bytes) => {
      const [id, command, name = "", address = ""] = String(bytes).split(" ");
      if (command === "put") names.set(`${version} ${name}`, address);
      const found = names.get(`${version} ${name}`);
      if (found === undefined) return Buffer.from(`${id} unknown`);
      return Buffer.from(`${id} ${found}${version === 2 ? ":53" : ""}`);
    },
  });
  const client = harness.connect();
  for (const request of ["1 put Ann 10.0.0.1", "2 get old", "3 get none", "nonsense"]) client.send(request);
  await harness.run();
  client.send("4 get Ann");
  await harness.run();
  t.same(client.received.map(String).toSorted(), ["1 10.0.0.1", "2 10.0.0.9", "3 unknown", "4 10.0.0.1"]);
  t.same([names.get("1 Ann"), names.get("2 ann")], ["10.0.0.1", "10.0.0.1"]);
  harness.setVersions([]);
  client.send("5 get Ann");
  await harness.run();
  t.equal(String(client.received.at(-1)), "5 failed");
});
