/** What proxies find out about versions outlives them: real processes, killed with SIGKILL. */
import { mkdirSync } from "node:fs";
import http from "node:http";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import t from "tap";
import { ProxyWatch } from "../../events/proxy-watch.ts";
import { Journal } from "../../journal/journal.ts";
import { createProxySupervisor, type ProxySupervisor } from "../../proxy/index.ts";
import { ask, fakeVersion, freePort, makeStage, withoutInstrumentation } from "../proxy/stage.ts";

withoutInstrumentation();

/** One failed write is enough, so that the test needs few. */
const MODULE = `export default (toolkit) => toolkit.createHttpProxy({ sickVersions: { afterFailures: 1 } });\n`;

async function until(what: string, holds: () => boolean | Promise<boolean>): Promise<void> {
  for (let waitedMs = 0; waitedMs < 60_000; waitedMs += 20) {
    if (await holds()) return;
    await sleep(20);
  }
  throw new Error(`not in a minute: ${what}`);
}

/** A version whose writes fail while `sick.now`. */
async function sickly(sick: { now: boolean }) {
  const version = await fakeVersion("2");
  const [host = "", port = ""] = version.endpoint.split(":");
  const server = http.createServer((request, response) => {
    if (sick.now && request.method === "PUT") {
      request.resume();
      response.statusCode = 503;
      response.end();
      return;
    }
    const onward = http.request({ host, port, method: request.method, path: request.url, agent: false });
    onward.on("response", (answer) => {
      response.statusCode = answer.statusCode ?? 0;
      answer.pipe(response);
    });
    request.pipe(onward);
  });
  const at = await freePort();
  await new Promise<void>((resolve) => server.listen(at, "127.0.0.1", resolve));
  const close = (): void => {
    version.close();
    server.close();
    server.closeAllConnections();
  };
  return { endpoint: `127.0.0.1:${at}`, items: version.items, close };
}

async function scene(test: Pick<typeof t, "teardown">) {
  const stage = makeStage();
  const modulePath = stage.writeModule("sick.js", MODULE);
  const sick = { now: true };
  const one = await fakeVersion("1");
  const two = await sickly(sick);
  const port = await freePort();
  mkdirSync(join(stage.runDirectory, "state"));
  const file = join(stage.runDirectory, "state", "journal.db");
  const opened: { journal: Journal; proxies: ProxySupervisor; stop: AbortController }[] = [];
  /** What an agent does of it, from its start. */
  const agent = async () => {
    const stop = new AbortController();
    const journal = new Journal(file);
    const proxies = createProxySupervisor(stage);
    opened.push({ journal, proxies, stop });
    const heard: string[] = [];
    const told = ({ kind, version }: { kind: string; version: number }): unknown =>
      heard.push(`${kind} ${version}`);
    const watch = new ProxyWatch({ journal, proxies, signal: stop.signal, heard: told });
    watch.remember();
    await proxies.ensure({
      service: "kv",
      modulePath,
      address: "127.0.0.1",
      listen: [`tcp/${port}`],
      versions: [one, two].map(({ endpoint }, at) => ({
        version: at + 1,
        endpoints: { [`tcp/${port}`]: endpoint },
      })),
    });
    watch.follow(["kv"]);
    return { journal, proxies, watch, heard, stop };
  };
  test.teardown(async () => {
    for (const { stop } of opened) stop.abort();
    await opened.at(-1)?.proxies.stop("kv");
    for (const { proxies, journal } of opened) {
      proxies.close();
      journal.close();
    }
    one.close();
    two.close();
    stage.remove();
  });
  const put = async (key: string): Promise<number> => (await ask(false, port, "PUT", key, "x")).status;
  return { agent, sick, one, two, put };
}

/** Kills the process and waits for the one that comes after it. */
async function killProxy(proxies: ProxySupervisor): Promise<void> {
  const pid = (await proxies.status("kv"))?.pid ?? 0;
  process.kill(pid, "SIGKILL");
  await until("another process serves", async () => {
    const status = await proxies.status("kv").catch(() => undefined);
    return status !== undefined && status.pid !== pid && status.listening.length > 0;
  });
}

t.test("a version that was found sick stays out of every later proxy, until it is readmitted", async (t) => {
  const { agent, sick, two, put } = await scene(t);
  const { journal, proxies, watch, heard } = await agent();
  t.equal(await put("/a"), 200, "after one failure the version is kept out and the write succeeds");
  await until("the journal knows", () => journal.quarantines().length === 1);
  t.match(journal.quarantines(), [{ service: "kv", version: 2, detail: /in a row/ }]);
  t.same(heard, ["version-quarantined 2"]);

  sick.now = false;
  for (const round of [1, 2]) {
    await killProxy(proxies);
    t.equal(await put(`/after-${round}`), 200);
    t.equal(two.items.has(`/after-${round}`), false, `process ${round + 1} knew from its start`);
  }
  t.match(journal.quarantines(), [{ version: 2 }]);

  t.equal(await watch.readmit("kv", 2), true);
  t.same(journal.quarantines(), []);
  t.equal(await put("/back"), 200);
  t.equal(two.items.get("/back"), "x");
  t.equal(await watch.readmit("kv", 2), false, "it is not kept out any more");
  await until("its return is heard", () => heard.includes("version-readmitted 2"));
  await killProxy(proxies);
  await put("/later");
  t.equal(two.items.get("/later"), "x", "the next process takes it");
  t.match(
    journal.proxyEvents(10).map(({ kind }) => kind),
    ["version-quarantined", "version-readmitted"],
  );
});

t.test("what happened while the agent was away is heard once, and survives both", async (t) => {
  const { agent, sick, two, put } = await scene(t);
  const first = await agent();
  first.stop.abort();
  first.proxies.close();
  t.equal(await put("/a"), 200);
  t.same(first.journal.quarantines(), [], "nobody listened");

  const second = await agent();
  await until("the journal knows", () => second.journal.quarantines().length === 1);
  second.stop.abort();
  second.proxies.close();
  const third = await agent();
  sick.now = false;
  await killProxy(third.proxies);
  t.equal(await put("/b"), 200);
  t.equal(two.items.has("/b"), false);
  t.same(third.heard, [], "known already");
  t.equal(third.journal.proxyEvents(10).length, 1);
});

t.test("a version that serves no more is forgotten", async (t) => {
  const journal = new Journal(":memory:");
  const kept: (readonly number[])[] = [];
  const proxies = { keepOut: (_service: string, versions: readonly number[]) => kept.push(versions) };
  const watch = new ProxyWatch({
    journal,
    proxies: proxies as unknown as ProxySupervisor,
    signal: AbortSignal.abort(),
    heard: () => undefined,
  });
  const event = { service: "kv", process: "1 1", number: 1, atMs: 5, version: 2, detail: "sick" };
  t.equal(journal.addProxyEvent({ ...event, kind: "version-quarantined" }), true);
  t.equal(journal.addProxyEvent({ ...event, kind: "version-quarantined" }), false, "an event is taken once");
  watch.remember();
  watch.forget("kv", 1);
  watch.forget("kv", 2);
  t.same(kept, [[2], []]);
  for (let number = 2; number < 700; number += 1)
    journal.addProxyEvent({ ...event, number, kind: "version-readmitted" });
  t.equal(journal.proxyEvents(1_000).length, 500, "events are bounded");
  journal.close();
});
