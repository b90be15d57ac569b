import { Agent, request } from "node:http";
import t, { type Test } from "tap";
import {
  load,
  RELEASES,
  type ClusterLike,
  type HttpModule,
  type Item,
  type StoreModule,
} from "./release-modules.ts";

interface Answer {
  readonly status: number;
  readonly headers: Record<string, string | string[] | undefined>;
  readonly text: string;
}

for (const release of RELEASES) {
  const start = async (t: Test, hostAddresses: readonly string[] = []) => {
    const { Store } = await load<StoreModule>(release, "store.js");
    const { HttpServer } = await load<HttpModule>(release, "http.js");
    const store = new Store();
    const replicated: Item[][] = [];
    const cluster: ClusterLike = {
      nodeID: "kv-test",
      versions: { moleculer: "0", protocol: "0" },
      heard: { list: () => [] },
      live: () => ["kv-other"],
      replicate: async (items) => void replicated.push([...items]),
    };
    const server = new HttpServer(store, cluster, { release: { version: 1, label: "1.0.0" }, hostAddresses });
    const port = await server.listen("127.0.0.1", 0);
    server.ready = true;
    const agent = new Agent({ keepAlive: true });
    t.teardown(async () => {
      agent.destroy();
      await server.close();
    });
    const ask = (method: string, path: string, body?: string | Buffer, headers = {}): Promise<Answer> =>
      new Promise((resolve, reject) => {
        const outgoing = request({ port, host: "127.0.0.1", method, path, agent, headers }, (response) => {
          let text = "";
          response.setEncoding("utf8").on("data", (chunk: string) => (text += chunk));
          response.on("end", () =>
            resolve({ status: response.statusCode ?? 0, headers: response.headers, text }),
          );
        });
        outgoing.on("error", reject).end(body);
      });
    return { ask, store, server, cluster, replicated };
  };

  t.test(release, async (t) => {
    t.test("a write is answered with its timestamp once it is replicated, and read back", async (t) => {
      const { ask, replicated } = await start(t);
      const put = await ask("PUT", "/kv/a%20b", "hällo");
      t.equal(put.status, 200);
      t.equal(replicated.length, 1);
      t.match(replicated[0], [{ key: "a b", value: "hällo", node: "kv-test" }]);
      const get = await ask("GET", "/kv/a%20b");
      t.equal(get.status, 200);
      t.equal(get.text, "hällo");
      t.equal(get.headers["x-timestamp"], put.headers["x-timestamp"]);
    });

    t.test("a given timestamp is kept, and raised when the item is newer", async (t) => {
      const { ask } = await start(t);
      const put = (timestamp: string) => ask("PUT", "/kv/k", "v", { "x-timestamp": timestamp });
      t.equal((await put("1000")).headers["x-timestamp"], "1000");
      t.equal((await put("500")).headers["x-timestamp"], "1001");
      for (const bad of [
        "0",
        "1.5",
        "yesterday",
        "99999999999999999999",
        String((Date.now() + 1e8) * 1000),
      ]) {
        t.match(await put(bad), { status: 400, text: /E_BAD_TIMESTAMP/ });
      }
    });

    t.test("wrong requests get a code and leave the connection usable", async (t) => {
      const { ask } = await start(t);
      t.match(await ask("GET", "/kv/none"), { status: 404, text: /E_NO_KEY/ });
      t.match(await ask("GET", "/kv/"), { status: 400, text: /E_BAD_KEY/ });
      t.match(await ask("GET", "/kv/../export"), { status: 404, text: /E_NO_KEY/ });
      t.match(await ask("GET", "/kv/%ff"), { status: 400, text: /E_BAD_KEY/ });
      t.match(await ask("PUT", `/kv/${"k".repeat(257)}`, "v"), { status: 400, text: /E_BAD_KEY/ });
      t.match(await ask("PUT", "/kv/k", Buffer.from([0xff, 0xfe])), { status: 400, text: /E_BAD_VALUE/ });
      t.match(await ask("DELETE", "/kv/k"), { status: 404, text: /E_NO_ROUTE/ });
      t.match(await ask("GET", "/health"), { status: 200, headers: { connection: "keep-alive" } });
      t.match(await ask("PUT", "/kv/k", "x".repeat(70_000)), {
        status: 413,
        text: /E_TOO_LARGE/,
        headers: { connection: "close" },
      });
    });

    t.test("a write that a live replica did not take is refused, and may be repeated", async (t) => {
      const { ask, cluster } = await start(t);
      const replicate = cluster.replicate;
      cluster.replicate = () =>
        Promise.reject(Object.assign(new Error("silent"), { code: "E_REPLICATION", status: 503 }));
      t.match(await ask("PUT", "/kv/k", "v"), { status: 503, text: /E_REPLICATION/ });
      cluster.replicate = replicate;
      t.match(await ask("PUT", "/kv/k", "v"), { status: 200 });
    });

    t.test("a node that is joining serves nobody but says what it is", async (t) => {
      const { ask, server } = await start(t);
      server.ready = false;
      t.match(await ask("GET", "/health"), { status: 503, text: /E_NOT_READY/ });
      t.match(await ask("PUT", "/kv/k", "v"), { status: 503 });
      t.match(JSON.parse((await ask("GET", "/stats")).text), {
        service: "kv",
        nodeID: "kv-test",
        ready: false,
      });
    });

    t.test(
      "draining ends a client's connections with the next answer, and new ones are still served",
      async (t) => {
        const { ask, server } = await start(t);
        t.match(await ask("PUT", "/kv/k", "v"), { headers: { connection: "keep-alive" } });
        server.drain();
        t.match(await ask("GET", "/kv/k"), { status: 200, headers: { connection: "close" } });
        t.match(await ask("GET", "/kv/k"), { status: 200, headers: { connection: "close" } });
      },
    );

    t.test("draining leaves the host's connections open after an answer", async (t) => {
      const { ask, server } = await start(t, ["127.0.0.1"]);
      server.drain();
      t.match(await ask("GET", "/health"), { status: 200, headers: { connection: "keep-alive" } });
    });

    t.test("only the host exports; the export says how much it is", async (t) => {
      t.match(await (await start(t)).ask("GET", "/export"), { status: 403, text: /E_FORBIDDEN/ });
      const { ask, store } = await start(t, ["127.0.0.1"]);
      for (let number = 0; number < 3000; number += 1) {
        store.merge({ key: `k${number}`, value: "x".repeat(100), timestamp: number + 1, node: "a" });
      }
      const lines = (await ask("GET", "/export")).text.trimEnd().split("\n");
      t.equal(lines.length, 3001);
      t.match(JSON.parse(lines.at(-1) as string), { end: true, items: 3000 });
    });
  });

  if (release === "v2") {
    t.test("import merges, replicates everything it was given, and says what was new", async (t) => {
      const { ask, store, replicated } = await start(t);
      const item = { key: "k", value: "v", timestamp: 10, node: "kv-old" };
      const lines = (...items: Item[]) => items.map((each) => JSON.stringify(each)).join("\n");
      t.same(JSON.parse((await ask("POST", "/import", lines(item))).text), { newTimestamps: [10] });
      t.same(JSON.parse((await ask("POST", "/import", lines(item, { ...item, key: "l" }))).text), {
        newTimestamps: [10],
      });
      t.same(
        replicated.map((items) => items.length),
        [1, 2],
      );
      t.equal(store.size, 2);
      t.match(await ask("POST", "/import", '{"key":1}'), { status: 400, text: /E_BAD_ITEM/ });
      t.match(await ask("POST", "/import", "nonsense"), { status: 400, text: /E_BAD_ITEM/ });
    });
  }
}
