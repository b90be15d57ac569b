/** The supervisor with real processes on the loopback: start, crash, adoption, replacement, drain. */
import { existsSync, readFileSync, readdirSync } from "node:fs";
import http from "node:http";
import net from "node:net";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import t from "tap";
import { createProxySupervisor, type ProxySupervisor } from "../../proxy/index.ts";
import {
  ask,
  fakeVersion,
  freePort,
  makeStage,
  startLoad,
  withoutInstrumentation,
  type FakeVersion,
  type Stage,
} from "./stage.ts";

withoutInstrumentation();

const ADDRESS = "127.0.0.1";

interface Scene {
  readonly stage: Stage;
  readonly port: number;
  readonly one: FakeVersion;
  readonly two: FakeVersion;
  readonly log: string[];
  readonly supervisor: () => ProxySupervisor;
  readonly ensure: (by: ProxySupervisor, versions?: readonly number[], modulePath?: string) => Promise<void>;
}

async function makeScene(test: Pick<typeof t, "teardown">, delayMs = 0): Promise<Scene> {
  const stage = makeStage();
  const port = await freePort();
  const one = await fakeVersion("1", delayMs);
  const two = await fakeVersion("2", delayMs);
  const made: ProxySupervisor[] = [];
  const log: string[] = [];
  const supervisor = (): ProxySupervisor => {
    const next = createProxySupervisor({ ...stage, log: (line) => log.push(line) });
    made.push(next);
    return next;
  };
  test.teardown(async () => {
    await made.at(-1)?.stop("kv");
    for (const each of made) each.close();
    one.close();
    two.close();
    stage.remove();
  });
  const endpoints = { 1: one.endpoint, 2: two.endpoint };
  const ensure = (
    by: ProxySupervisor,
    versions: readonly number[] = [1, 2],
    modulePath = stage.modulePath,
  ): Promise<void> =>
    by.ensure({
      service: "kv",
      modulePath,
      address: ADDRESS,
      listen: [`tcp/${port}`],
      versions: versions.map((version) => ({
        version,
        endpoints: { [`tcp/${port}`]: endpoints[version as 1 | 2] },
      })),
    });
  return { stage, port, one, two, log, supervisor, ensure };
}

/** A process that has ended stays in the table until its parent has taken note. */
async function gone(pid: number): Promise<boolean> {
  for (let waitedMs = 0; existsSync(`/proc/${pid}`) && waitedMs < 5_000; waitedMs += 20) await sleep(20);
  return !existsSync(`/proc/${pid}`);
}

t.test("one service out of two versions, in a process that may do nothing else", async (t) => {
  const { stage, port, one, two, supervisor, ensure } = await makeScene(t);
  const proxies = supervisor();
  t.equal(proxies.has("kv"), false);
  await ensure(proxies);
  t.equal(proxies.has("kv"), true);
  const status = await proxies.status("kv");
  const pid = status?.pid ?? 0;
  const procStatus = readFileSync(`/proc/${pid}/status`, "utf8");
  const uid = Number(/^Uid:\s+(\d+)/m.exec(procStatus)?.[1]);
  if (process.getuid?.() === 0) {
    t.not(uid, 0);
    t.match(procStatus, /^CapEff:\s+0+$/m);
  }
  t.equal((await ask(false, port, "PUT", "/a", "1")).status, 200);
  t.equal(one.items.get("/a"), "1");
  t.equal(two.items.get("/a"), "1");
  one.items.set("/old", "old");
  t.match(await ask(false, port, "GET", "/old"), { status: 200, body: "old" });
  await ensure(proxies, [2]);
  t.equal((await proxies.status("kv"))?.pid, pid, "the process is kept");
  t.match(await ask(false, port, "GET", "/old"), { status: 404 });
  await proxies.stop("kv");
  t.equal(proxies.has("kv"), false);
  t.ok(await gone(pid));
  t.same(readdirSync(stage.runDirectory), []);
  await t.rejects(ask(false, port, "GET", "/a"), { code: "ECONNREFUSED" });
});

t.test("the module's process can write nothing, start nothing, read nothing else", async (t) => {
  const { stage, port, supervisor, ensure } = await makeScene(t);
  const modulePath = stage.writeModule(
    "probe.js",
    `import fs from "node:fs"; import child from "node:child_process"; import { Worker } from "node:worker_threads";
     const tries = {
       write: () => fs.writeFileSync("/tmp/vm-proxy-test-written", ""),
       read: () => fs.readFileSync("/etc/passwd"),
       spawn: () => child.spawnSync("true"),
       worker: () => new Worker("1", { eval: true }),
       addon: () => process.dlopen({ exports: {} }, "/x.node"),
       root: () => process.setuid(0),
     };
     const outcome = (run) => { try { run(); return "allowed"; } catch (error) { return error.code; } };
     const found = Object.entries(tries).map(([name, run]) => name + "=" + outcome(run)).join(" ");
     export default (toolkit) => toolkit.createHttpProxy({
       reads: () => ({ kind: "answer", reply: toolkit.plainReply(200, found) }),
     });\n`,
  );
  const proxies = supervisor();
  await ensure(proxies, [1, 2], modulePath);
  const { body } = await ask(false, port, "GET", "/");
  const denied = "ERR_ACCESS_DENIED";
  t.match(body, `write=${denied} read=${denied} spawn=${denied} worker=${denied} addon=ERR_DLOPEN_DISABLED`);
  if (process.getuid?.() === 0) t.match(body, "root=EPERM");
});

t.test("kill -9 under load: connections wait, none is refused", async (t) => {
  const { port, supervisor, ensure, log } = await makeScene(t);
  const proxies = supervisor();
  await ensure(proxies);
  const load = startLoad(4, false, () => port);
  const killed = new Set<number>();
  for (let round = 0; round < 2; round += 1) {
    await sleep(300);
    const pid = (await proxies.status("kv"))?.pid as number;
    killed.add(pid);
    process.kill(pid, "SIGKILL");
    const wanted = load.answered + 50;
    for (let waitedMs = 0; load.answered < wanted && waitedMs < 30_000; waitedMs += 50) await sleep(50);
    t.ok(load.answered >= wanted, "it serves again");
  }
  await load.stop();
  const { answered, failures } = load;
  t.equal(killed.size, 2);
  t.notOk(failures.includes("ECONNREFUSED"), "no connection was refused");
  t.ok(failures.length <= 8, `at most what was in flight failed: ${failures.join(", ")}`);
  t.comment(`${answered} answered, ${failures.length} failed in two kills: ${failures.join(", ")}`);
  t.match(log.join("\n"), /proxy died/);
});

t.test("a second supervisor adopts the proxy, and keeps its sockets when it dies", async (t) => {
  const { port, supervisor, ensure, log } = await makeScene(t);
  const first = supervisor();
  await ensure(first);
  const pid = (await first.status("kv"))?.pid as number;
  const agent = new http.Agent({ keepAlive: true, maxSockets: 1 });
  t.teardown(() => agent.destroy());
  t.equal((await ask(agent, port, "PUT", "/a", "1")).status, 200);
  // As when the agent dies: its copies of the sockets are closed.
  first.close();
  const second = supervisor();
  t.equal(second.has("kv"), true);
  await ensure(second);
  t.equal((await second.status("kv"))?.pid, pid, "the same process");
  t.equal((await second.status("kv"))?.connections, 1, "its clients are still connected");
  t.match(await ask(agent, port, "GET", "/a"), { status: 200, body: "1" });
  if (log.some((line) => line.includes("no copy of port"))) {
    t.comment("skipped: this kernel does not give out copies of descriptors (pidfd_getfd)");
    return;
  }
  process.kill(pid, "SIGKILL");
  // Into the gap between the old process and the new one.
  const answers = await Promise.all([1, 2, 3, 4].map((n) => ask(false, port, "PUT", `/b${n}`, "2")));
  t.ok(answers.every(({ status }) => status === 200));
  t.not((await second.status("kv"))?.pid, pid);
});

t.test("drain at message boundaries: keep-alive clients lose no request", async (t) => {
  const { port, one, supervisor, ensure } = await makeScene(t, 5);
  const proxies = supervisor();
  await ensure(proxies);
  // Where new connections are led; stands in for the router.
  let target = port;
  const load = startLoad(16, true, () => target);
  const idle = net.connect(port, ADDRESS);
  const idleEnded = new Promise((resolve) => idle.on("end", resolve).on("error", resolve).resume());
  await sleep(400);
  target = Number(one.endpoint.split(":")[1]);
  const remaining = await proxies.drainAndStop("kv", 20_000);
  await sleep(100);
  await load.stop();
  await idleEnded;
  t.equal(remaining, 0);
  t.same(load.failures, []);
  t.ok(load.answered > 100, `${load.answered} answered`);
  t.equal(proxies.has("kv"), false);
  await t.rejects(ask(false, port, "GET", "/a"), { code: "ECONNREFUSED" });
});

t.test(
  "a release with another module replaces the process without a refused or failed request",
  async (t) => {
    const { stage, port, supervisor, ensure } = await makeScene(t);
    const proxies = supervisor();
    await ensure(proxies);
    const before = (await proxies.status("kv"))?.pid;
    const load = startLoad(4, true, () => port);
    await sleep(200);
    const next = stage.writeModule("next.js", "export default (toolkit) => toolkit.createHttpProxy();\n");
    await ensure(proxies, [1, 2], next);
    await sleep(100);
    await load.stop();
    t.same(load.failures, []);
    t.not((await proxies.status("kv"))?.pid, before);
    t.match(await proxies.status("kv"), { module: next });
    t.ok(await gone(before as number));
    t.same(readdirSync(stage.runDirectory).toSorted(), ["proxy-kv.json", "proxy-kv.sock"]);
  },
);

t.test("wrong uses have codes and leave nothing", async (t) => {
  const { stage, port, supervisor, ensure } = await makeScene(t);
  const proxies = supervisor();
  const taken = net.createServer();
  await new Promise<void>((resolve) => taken.listen(port, ADDRESS, resolve));
  await t.rejects(ensure(proxies), { code: "E_PORT_TAKEN" });
  await new Promise((resolve) => taken.close(resolve));
  const throws = stage.writeModule("throws.js", 'throw new Error("a fault of the module");\n');
  await t.rejects(ensure(proxies, [1], throws), { code: "E_PROXY", message: /a fault of the module/ });
  const wrong = stage.writeModule("wrong.js", "export default 5;\n");
  await t.rejects(ensure(proxies, [1], wrong), { code: "E_PROXY" });
  await t.rejects(ensure(proxies, [1], join(stage.runDirectory, "none.js")), { code: "E_PROXY" });
  const udpPort = `udp/${await freePort()}` as const;
  const udp = { service: "kv", address: ADDRESS, listen: [udpPort], versions: [] } as const;
  const unfit = proxies.ensure({ ...udp, modulePath: stage.modulePath });
  await t.rejects(unfit, { code: "E_PROXY", message: `cannot serve ${udpPort}` });
  t.equal(proxies.has("kv"), false);
  t.same(readdirSync(stage.runDirectory), []);
  await t.rejects(ask(false, port, "GET", "/"), { code: "ECONNREFUSED" });
  await ensure(proxies);
  t.equal((await ask(false, port, "GET", "/")).status, 404, "and a right use works afterwards");
});
