/** The release's proxy module on the real framework, in front of two stand-ins for the versions. */
import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import * as toolkit from "@version-manager/app-proxy";
import { ProxyServer } from "@version-manager/app-proxy/host";
import t, { type Test } from "tap";
import { releaseFile } from "./release-modules.ts";

type ProxyFactory = (tools: typeof toolkit) => toolkit.ProxyHandlers;
type Answer = (request: IncomingMessage, response: ServerResponse) => void;

const { default: factory } = (await import(releaseFile("v2", "proxy.js").href)) as { default: ProxyFactory };

const item =
  (value: string, timestamp: number): Answer =>
  (_request, response) =>
    response.writeHead(200, { "x-timestamp": timestamp }).end(value);
const status =
  (code: number): Answer =>
  (_request, response) =>
    response.writeHead(code).end(`status ${code}`);

/** A proxy before one server per answer, version 1 first; `seen` gets every request with its version. */
async function serve(t: Test, ...answers: readonly Answer[]) {
  const seen: { readonly version: number; readonly url: string; readonly timestamp: string | undefined }[] =
    [];
  const proxy = new ProxyServer({ handlers: factory(toolkit) });
  t.teardown(() => proxy.close());
  const versions = [];
  for (const [index, answer] of answers.entries()) {
    const server = createServer((request, response) => {
      const timestamp = request.headers["x-timestamp"] as string | undefined;
      seen.push({ version: index + 1, url: request.url ?? "", timestamp });
      request.resume().on("end", () => answer(request, response));
    });
    await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
    t.teardown(() => {
      server.close();
      server.closeAllConnections();
    });
    const { port } = server.address() as AddressInfo;
    versions.push({ version: index + 1, endpoints: { "tcp/80": `127.0.0.1:${port}` } });
  }
  await proxy.setVersions(versions);
  const { port } = await proxy.listen("tcp/80", { host: "127.0.0.1", port: 0 });
  const ask = async (method: string, path: string, body?: string, headers: Record<string, string> = {}) => {
    const init = body === undefined ? { method, headers } : { method, headers, body };
    const response = await fetch(`http://127.0.0.1:${port}${path}`, init);
    return {
      status: response.status,
      timestamp: response.headers.get("x-timestamp"),
      text: await response.text(),
    };
  };
  return { ask, seen };
}

t.test("a read is answered with the newest item, whichever version has it", async (t) => {
  t.match(await (await serve(t, item("old", 1), item("new", 2))).ask("GET", "/kv/k"), {
    text: "new",
    timestamp: "2",
  });
  t.match(await (await serve(t, item("new", 2), item("old", 1))).ask("GET", "/kv/k"), {
    text: "new",
    timestamp: "2",
  });
  t.match(await (await serve(t, item("new", 2), status(404))).ask("GET", "/kv/k"), {
    status: 200,
    text: "new",
  });
  t.match(await (await serve(t, status(404), item("new", 2))).ask("GET", "/kv/k"), {
    status: 200,
    text: "new",
  });
});

t.test("a key is missing only when all versions miss it", async (t) => {
  t.match(await (await serve(t, status(404), status(404))).ask("GET", "/kv/k"), { status: 404 });
});

t.test("without the oldest version's answer nothing is said about a key", async (t) => {
  t.match(await (await serve(t, status(503), item("old", 1))).ask("GET", "/kv/k"), { status: 503 });
  const broken: Answer = (request) => request.socket.destroy();
  const { ask } = await serve(t, broken, status(404));
  t.ok((await ask("GET", "/kv/k")).status >= 500);
});

t.test("a newer version in trouble does not keep clients from reading", async (t) => {
  t.match(await (await serve(t, item("v", 1), status(503))).ask("GET", "/kv/k"), { status: 200, text: "v" });
});

t.test("a write goes to the oldest version, then to the others under its timestamp there", async (t) => {
  const { ask, seen } = await serve(t, item("", 41), item("", 41), item("", 41));
  t.match(await ask("PUT", "/kv/k", "v"), { status: 200 });
  t.equal(seen[0]?.version, 1);
  t.same(
    seen.map(({ timestamp }) => timestamp),
    [undefined, "41", "41"],
  );
});

t.test("the oldest version's timestamp counts, also when the client wished for another", async (t) => {
  const { ask, seen } = await serve(t, item("", 78), item("", 78));
  await ask("PUT", "/kv/k", "v", { "x-timestamp": "77" });
  t.same(
    seen.map(({ timestamp }) => timestamp),
    ["77", "78"],
  );
});

t.test(
  "a write that one version refuses has failed, and newer versions do not get what the oldest refused",
  async (t) => {
    t.match(await (await serve(t, item("", 1), status(503))).ask("PUT", "/kv/k", "v"), { status: 503 });
    const { ask, seen } = await serve(t, status(503), item("", 1));
    t.match(await ask("PUT", "/kv/k", "v"), { status: 503 });
    t.equal(seen.length, 1);
  },
);

t.test("what only the host may ask never reaches a version", async (t) => {
  const { ask, seen } = await serve(t, item("", 1), item("", 1));
  const closed: readonly (readonly [string, string])[] = [
    ["GET", "/export"],
    ["GET", "//export"],
    ["GET", "/stats?x"],
    ["POST", "/import"],
    ["PUT", "/export"],
  ];
  for (const [method, path] of closed) {
    t.match(await ask(method, path, method === "GET" ? undefined : "x"), { status: 403 }, path);
  }
  t.same(seen, []);
});

t.test("health and stats are the newest version's", async (t) => {
  const { ask } = await serve(t, item("one", 1), item("two", 1));
  t.match(await ask("GET", "/health"), { text: "two" });
  t.match(await ask("GET", "/stats"), { text: "two" });
});
