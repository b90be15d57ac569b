/** What survives the end of a daemon, orderly or not, and what its clients see of it. */
import { createServer } from "node:net";
import { readFile, stat, writeFile } from "node:fs/promises";
import t from "tap";
import { RouterClient } from "../../control/client.ts";
import type { RouterEvent } from "../../control/contract.ts";
import { serviceTag } from "../../mark/index.ts";
import { collect, makeNode, startNode } from "./harness.ts";

const kv1 = { service: "kv", version: 1 };
const ports = { peer: ["tcp/7000"], client: ["tcp/8080"] } as const;
const mark = (peer: number, version: number) =>
  ({
    peerAddress: `127.0.0.${peer}`,
    tag: serviceTag("kv"),
    senderVersion: version,
    advertisement: { version, status: "running" },
    lastHeardMs: version,
  }) as const;

t.test("a restarted daemon has the same status", async (t) => {
  const node = await startNode(t);
  await node.client.attachDomain({ service: "web", version: 1, kind: "tap" });
  await node.client.attachDomain({ ...kv1, kind: "veth", networkMbitPerS: 40 });
  await node.client.detachDomain({ service: "web", version: 1 });
  await node.client.registerPorts(kv1, ports);
  await node.client.setClientPath("kv", { kind: "direct", version: 1 });
  const { startedAtMs: _, ...before } = await node.client.status();
  await node.stop();
  await t.rejects(node.client.status(), { code: "E_NO_ROUTER" });
  await t.rejects(stat(node.config.socket), { code: "ENOENT" });
  await node.start();
  const { startedAtMs: __, ...after } = await node.client.status();
  t.same(after, before);
  t.match(after.domains, [{ ...kv1, networkMbitPerS: 40 }]);
  await node.client.registerPorts(kv1, ports);
});

t.test("advertisements and managed peers come back without the agent", async (t) => {
  const node = await startNode(t);
  await node.client.setManagedPeers(["127.0.0.9"]);
  await node.client.attachDomain({ ...kv1, kind: "tap" });
  await node.client.setAdvertisements("kv", [{ version: 5, status: "available" }]);
  await node.stop();
  node.dataPath.managedPeers = [];
  node.dataPath.advertisements.clear();
  await node.start();
  t.same(node.dataPath.managedPeers, ["127.0.0.9"]);
  for (let tries = 0; tries < 100 && node.dataPath.advertisements.size === 0; tries += 1) {
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
  t.same(node.dataPath.advertisements.get(serviceTag("kv")), { version: 5, status: "available" });
});

t.test("a torn state file is as good as none", async (t) => {
  const node = await makeNode(t);
  await writeFile(`${node.config.socket}.state.json`, '{"format":1,"adv');
  await node.start();
  t.match(await node.client.status(), { domains: [] });
  await node.client.setManagedPeers(["127.0.0.9"]);
  t.match(JSON.parse(await readFile(`${node.config.socket}.state.json`, "utf8")), {
    managedPeers: ["127.0.0.9"],
  });
});

t.test("an event stream goes on over a restart, and begins again with all that was heard", async (t) => {
  const node = await startNode(t);
  await node.client.attachDomain({ ...kv1, kind: "tap" });
  const events: RouterEvent[] = [];
  const heard = (version: number) =>
    events.filter((event) => event.type === "heard" && event.senderVersion === version).length;
  const until = async (holds: () => boolean) => {
    for (let tries = 0; tries < 400 && !holds(); tries += 1)
      await new Promise((resolve) => setTimeout(resolve, 25));
    t.ok(holds(), JSON.stringify(events));
  };
  const stop = new AbortController();
  const listening = (async () => {
    for await (const event of node.client.events(stop.signal)) events.push(event);
  })();
  node.dataPath.marks.push(mark(7, 2));
  await until(() => heard(2) === 1);
  await node.stop();
  await node.start();
  await until(() => heard(2) === 2);
  node.dataPath.marks.push(mark(7, 3));
  await until(() => heard(3) === 1);
  stop.abort();
  await listening;
});

t.test("events wait for a router that is not there yet", async (t) => {
  const node = await makeNode(t);
  node.dataPath.marks.push(mark(7, 2));
  const events = collect(node.client, (all) => all.length === 1);
  await node.dataPath.open();
  await node.dataPath.attachDomain({ slot: 3, ...kv1, tag: serviceTag("kv"), link: "tap" });
  await node.start();
  t.match(await events, [{ type: "heard", senderVersion: 2 }]);
});

t.test("a patient client waits for a restart", async (t) => {
  const node = await makeNode(t);
  const patient = new RouterClient(node.config.socket, { patienceMs: 10_000 });
  const status = patient.status();
  setTimeout(() => void node.start(), 200);
  t.match(await status, { dataPath: "kernel" });
});

t.test("a second daemon is refused while the first answers, and disturbs nothing", async (t) => {
  const node = await startNode(t);
  await t.rejects(node.start(), { code: "E_BAD_REQUEST" });
  t.match(await node.client.status(), { dataPath: "kernel" });
});

t.test("a socket that a killed daemon left is replaced; any other file is not", async (t) => {
  const node = await makeNode(t);
  const code = `require("net").createServer().listen(process.argv[1], () => process.kill(process.pid, "SIGKILL"))`;
  const { spawnSync } = await import("node:child_process");
  spawnSync(process.execPath, ["-e", code, node.config.socket]);
  t.ok((await stat(node.config.socket)).isSocket(), "left behind");
  await node.start();
  t.match(await node.client.status(), { dataPath: "kernel" });
  await node.stop();
  await writeFile(node.config.socket, "precious");
  await t.rejects(node.start(), { code: "E_BAD_REQUEST" });
  t.equal(await readFile(node.config.socket, "utf8"), "precious");
});

t.test("a failed start leaves nothing open", async (t) => {
  const node = await startNode(t);
  const second = await makeNode(t, { exchangePort: node.config.exchangePort });
  await t.rejects(second.start(), { code: "E_PORT_TAKEN" });
  t.equal(second.dataPath.opened, false);
  await t.rejects(stat(second.config.socket), { code: "ENOENT" });
  const nowhere = await makeNode(t, { serviceAddress: "192.0.2.1" });
  await t.rejects(nowhere.start(), { code: "E_BAD_REQUEST" });
});

t.test("a router that accepts but does not answer is no router", async (t) => {
  const node = await makeNode(t);
  const server = createServer();
  await new Promise<void>((resolve) => server.listen(node.config.socket, resolve));
  t.teardown(() => server.close());
  const client = new RouterClient(node.config.socket, { timeoutMs: 100 });
  await t.rejects(client.status(), { code: "E_NO_ROUTER", message: /100 ms/ });
});
