import { readdirSync, readlinkSync } from "node:fs";
import { readFile } from "node:fs/promises";
import type { Worker } from "node:worker_threads";
import t from "tap";
import { createSwarm } from "../../swarm/index.ts";
import { connectFrom, endpoint, fleet, makeFile, MIB, swarmAt, until } from "./fixture.ts";

t.test("a port that is taken, an address that is not ours", async (t) => {
  const a = await swarmAt(t, fleet[0]);
  await t.rejects(createSwarm({ host: fleet[0], port: a.port }), { code: "E_PORT_TAKEN" });
  await t.rejects(createSwarm({ host: "192.0.2.1", port: 0 }), { code: "E_CONFIG" });
  const neighbour = await swarmAt(t, fleet[1], { port: a.port });
  t.equal(neighbour.port, a.port, "the same port at another address is free");
});

t.test("a thread that dies is replaced, and goes on with all that it did", async (t) => {
  const workers: Worker[] = [];
  const warnings: string[] = [];
  const onWorker = (worker: Worker) => workers.push(worker);
  const onWarning = (warning: Error) => warnings.push(warning.message);
  process.on("worker", onWorker).on("warning", onWarning);
  t.teardown(() => process.off("worker", onWorker).off("warning", onWarning));
  const { file, content, torrent, infohash, target } = await makeFile(t, MIB);
  const a = await swarmAt(t, fleet[0], { uploadBytesPerSecond: MIB / 2 });
  const b = await swarmAt(t, fleet[1], { progressIntervalMs: 20 });
  await a.seed(torrent, file);
  const { port } = a;
  const done = b.download({ torrent, infohash, file: target("b"), peers: [endpoint(fleet[0], a)] });
  await until("some bytes", () => (b.list()[0]?.receivedBytes ?? 0) > 0);
  t.equal(workers.length, 2);
  await Promise.all(workers.map((worker) => worker.terminate()));
  await done;
  t.same(await readFile(target("b")), content);
  t.equal(a.port, port);
  t.equal(workers.length, 4);
  t.equal(warnings.filter((warning) => warning.includes("replaced")).length, 2);
});

t.test("closing leaves no socket, no file and no thread, and says so to whoever waits", async (t) => {
  const before = handles();
  const workers: Worker[] = [];
  const onWorker = (worker: Worker) => workers.push(worker);
  process.on("worker", onWorker);
  t.teardown(() => process.off("worker", onWorker));
  const { file, torrent, infohash, target } = await makeFile(t, 2 * MIB);
  const a = await createSwarm({
    host: fleet[0],
    port: 0,
    allowedPeers: fleet,
    uploadBytesPerSecond: 100_000,
  });
  const b = await createSwarm({ host: fleet[1], port: 0, allowedPeers: fleet, progressIntervalMs: 20 });
  await a.seed(torrent, file);
  const peers = [endpoint(fleet[0], a)];
  const waiting = t.rejects(b.download({ torrent, infohash, file: target("b"), peers }), { code: "E_FETCH" });
  await until("a connection", () => b.list()[0]?.peers === 1);
  await Promise.all([a.close(), b.close(), a.close()]);
  await waiting;
  t.same(handles(), before);
  t.same(
    workers.map(({ threadId }) => threadId),
    [-1, -1],
    "what Node says of threads that have ended",
  );
  t.equal(await connectFrom(fleet[1], fleet[0], a.port), "ECONNREFUSED");
  await t.rejects(a.seed(torrent, file), { code: "E_FETCH" });
  t.same(a.list(), []);
});

/** Sockets and files of this process and all its threads. */
function handles(): string[] {
  const targets = readdirSync("/proc/self/fd").flatMap((fd) => {
    try {
      return [readlinkSync(`/proc/self/fd/${fd}`)];
    } catch {
      return [];
    }
  });
  return targets.filter((name) => /^socket:|vm-release-test/u.test(name));
}
