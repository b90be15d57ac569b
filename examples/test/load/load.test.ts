import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { setTimeout as sleep } from "node:timers/promises";
import t, { type Test } from "tap";
import { Load } from "../../load/load.ts";

/** A key-value server in memory, whose answers the test may spoil; a spoiler that returns true has answered. */
async function serve(
  t: Test,
  spoil: (request: IncomingMessage, response: ServerResponse) => boolean = () => false,
) {
  const items = new Map<string, string>();
  const server = createServer((request, response) => {
    let body = "";
    request.setEncoding("utf8").on("data", (text: string) => (body += text));
    request.on("end", () => {
      if (spoil(request, response)) return;
      const path = request.url as string;
      if (request.method === "PUT") items.set(path, body);
      const value = items.get(path);
      response.writeHead(value === undefined ? 404 : 200).end(value);
    });
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  t.teardown(() => {
    server.close();
    server.closeAllConnections();
  });
  return { url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`, items };
}

async function run(t: Test, urls: readonly string[]) {
  const load = new Load({ urls, ratePerSecond: 400, workers: 4, keys: 20 });
  t.teardown(() => load.close());
  load.start();
  while (load.summary().requests < 150) await sleep(20);
  return { load, summary: await load.stop() };
}

t.test("a service that keeps its word has no failures, and gives every write back", async (t) => {
  const { url } = await serve(t);
  const { load, summary } = await run(t, [url]);
  t.match(summary, { failed: 0, failedByReason: {}, retries: 0, failures: [] });
  t.match(await load.verify(url), { node: url, keys: summary.acknowledgedKeys, failed: 0 });
});

t.test(
  "a service that forgets acknowledged writes is found out, in the run and in the verification",
  async (t) => {
    const { url } = await serve(t, (request, response) => {
      if (request.method === "GET") response.writeHead(404).end();
      return request.method === "GET";
    });
    const { load, summary } = await run(t, [url]);
    t.ok((summary.failedByReason["lost"] ?? 0) > 0);
    const verification = await load.verify(url);
    t.equal(verification.failedByReason["lost"], verification.keys);
  },
);

t.test("a node that answers with what another one has overwritten is stale", async (t) => {
  const fresh = await serve(t);
  const { load, summary } = await run(t, [fresh.url]);
  const old = await serve(t);
  t.equal(summary.failed, 0);
  for (const [path, value] of fresh.items) old.items.set(path, value.replace(/ (\d+) /, " 1 "));
  const verification = await load.verify(old.url);
  t.ok((verification.failedByReason["stale"] ?? 0) > 0);
  t.match(Object.keys(verification.failedByReason), ["stale"]);
});

t.test("failures are counted by node and by status", async (t) => {
  const good = await serve(t);
  const bad = await serve(t, (_request, response) => {
    response.writeHead(503).end("no");
    return true;
  });
  const { summary } = await run(t, [bad.url, good.url]);
  t.equal(summary.byNode[bad.url]?.failed, summary.failedByReason["status-503"]);
  t.equal(summary.byNode[bad.url]?.failed, summary.byNode[bad.url]?.requests);
  t.match(summary.failures[0], { node: bad.url, reason: "status-503", message: "no" });
});

t.test("no faster than its rate", async (t) => {
  const { url } = await serve(t);
  const { summary } = await run(t, [url]);
  t.ok(summary.requests <= summary.seconds * 400 + 4);
});

t.test("needs a node and a key per worker", async (t) => {
  t.throws(() => new Load({ urls: [] }), RangeError);
  t.throws(() => new Load({ urls: ["http://127.0.0.1:1"], workers: 3, keys: 2 }), RangeError);
});
