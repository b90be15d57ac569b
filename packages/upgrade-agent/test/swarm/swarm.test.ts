import { randomBytes } from "node:crypto";
import { open, readFile, rename, rm, stat, writeFile } from "node:fs/promises";
import { setTimeout as sleep } from "node:timers/promises";
import t from "tap";
import { createSwarm, type Download, type Swarm } from "../../swarm/index.ts";
import { endpoint, fleet, makeFile, MIB, swarmAt, until } from "./fixture.ts";

/** Two nodes for all tests that need nothing special; a thread of its own for each test would take longer than the test. */
const a = await swarmAt(t, fleet[0]);
const b = await swarmAt(t, fleet[1]);
const give = [endpoint(fleet[0], a)];
const listed = (swarm: Swarm, infohash: string) =>
  swarm.list().filter((download) => download.infohash === infohash);

t.test("one gives, two fetch, and all of them give in the end", async (t) => {
  const { file, content, torrent, infohash, target } = await makeFile(t, 3 * MIB + 5);
  const c = await swarmAt(t, fleet[2]);
  t.same(await a.createTorrent(file, "release.tar.gz"), { torrent, infohash });
  await a.seed(torrent, file);
  await a.seed(torrent, file);
  const told: Download[] = [];
  const onProgress = (progress: Download) => told.push(progress);
  await Promise.all([
    b.download({ torrent, infohash, file: target("b.part"), peers: give, onProgress }),
    c.download({ torrent, infohash, file: target("c.part"), peers: [...give, endpoint(fleet[1], b)] }),
  ]);
  t.same(await readFile(target("b.part")), content);
  t.same(await readFile(target("c.part")), content);
  t.match(told.at(-1), {
    infohash,
    receivedBytes: content.byteLength,
    totalBytes: content.byteLength,
    done: true,
  });
  t.match(c.list(), [{ infohash, done: true }]);

  await rename(target("b.part"), target("b"));
  await b.seed(torrent, target("b"));
  await a.remove(infohash);
  await c.remove(infohash);
  t.same(c.list(), []);
  await c.download({ torrent, infohash, file: target("c.again"), peers: [endpoint(fleet[1], b)] });
  t.same(
    await readFile(target("c.again")),
    content,
    "from the one that fetched it, after its file was renamed",
  );
});

t.test("interrupted, then resumed: what is there is checked and not fetched again", async (t) => {
  const { file, content, torrent, infohash, target } = await makeFile(t, 3 * MIB);
  const slow = await swarmAt(t, fleet[0], { uploadBytesPerSecond: 2 * MIB });
  await slow.seed(torrent, file);
  const part = target("part");
  const peers = [endpoint(fleet[0], slow)];
  const first = await swarmAt(t, fleet[1], { progressIntervalMs: 20 });
  const controller = new AbortController();
  const onProgress = ({ receivedBytes }: Download) => {
    if (receivedBytes > MIB) controller.abort(new Error("power cut"));
  };
  const { signal } = controller;
  await t.rejects(first.download({ torrent, infohash, file: part, peers, onProgress, signal }), {
    message: "power cut",
  });
  t.same(first.list(), []);
  await first.close();
  t.ok((await stat(part)).size > 0);

  const handle = await open(part, "r+");
  await handle.write(Buffer.from("damage"), 0, 6, 0);
  await handle.close();
  const second = await swarmAt(t, fleet[1], { progressIntervalMs: 20 });
  const seen: number[] = [];
  await second.download({
    torrent,
    infohash,
    file: part,
    peers,
    onProgress: (p) => seen.push(p.receivedBytes),
  });
  t.same(await readFile(part), content, "the damage is mended as well");
  const resumedAt = seen.find((bytes) => bytes > 0) ?? 0;
  t.ok(resumedAt >= MIB / 4 && resumedAt < content.byteLength, `went on at ${resumedAt} bytes`);
});

t.test("a part file that is longer than the release is cut", async (t) => {
  const { file, content, torrent, infohash, target } = await makeFile(t, 300_000);
  await a.seed(torrent, file);
  await writeFile(target("part"), Buffer.concat([content, randomBytes(1000)]));
  await b.download({ torrent, infohash, file: target("part"), peers: [] });
  t.same(await readFile(target("part")), content, "and needed no peer, for all of it was there");
});

t.test("what was complete is fetched again when its file is gone", async (t) => {
  const { file, content, torrent, infohash, target } = await makeFile(t, 300_000);
  await a.seed(torrent, file);
  const request = { torrent, infohash, file: target("part"), peers: give };
  await b.download(request);
  await b.download(request);
  await rm(target("part"));
  await b.download(request);
  t.same(await readFile(target("part")), content);
});

t.test("a torrent that is not the one of the infohash", async (t) => {
  const { torrent, target } = await makeFile(t, 1000);
  const request = { torrent, infohash: "00".repeat(20), file: target("part"), peers: [] };
  await t.rejects(a.download(request), { code: "E_TORRENT_MISMATCH" });
  await t.rejects(a.download({ ...request, torrent: Buffer.from("junk") }), { code: "E_TORRENT_MISMATCH" });
  await t.rejects(stat(target("part")), { code: "ENOENT" });
  t.same(listed(a, "00".repeat(20)), []);
});

t.test("a file that is not the torrent's is not given", async (t) => {
  const { file, content, torrent, infohash, target } = await makeFile(t, MIB);
  const altered = Buffer.from(content);
  altered[5] = (altered[5] ?? 0) ^ 1;
  await writeFile(target("altered"), altered);
  await t.rejects(a.seed(torrent, target("altered")), { code: "E_RELEASE_ALTERED" });
  t.same(await readFile(target("altered")), altered, "and is not touched");
  t.same(listed(a, infohash), []);
  await a.seed(torrent, file);
  t.match(listed(a, infohash), [{ infohash, done: true }]);
});

t.test("a peer that comes later is found, given late or tried again", async (t) => {
  const { file, content, torrent, infohash, target } = await makeFile(t, MIB);
  const probe = await createSwarm({ host: fleet[0], port: 0 });
  const { port } = probe;
  await probe.close();
  const done = b.download({
    torrent,
    infohash,
    file: target("b"),
    peers: [`${fleet[0]}:${port}`, "nonsense", "[::1"],
  });
  await sleep(200);
  const late = await swarmAt(t, fleet[0], { port });
  await late.seed(torrent, file);
  await done;
  t.same(await readFile(target("b")), content);

  await b.remove(infohash);
  const later = b.download({ torrent, infohash, file: target("c"), peers: [] });
  await sleep(100);
  b.addPeers("00".repeat(20), ["127.0.0.1:1"]);
  b.addPeers(infohash, [`${fleet[0]}:${port}`]);
  await later;
  t.same(await readFile(target("c")), content);
});

t.test("full disk", async (t) => {
  const { file, torrent, infohash } = await makeFile(t, MIB);
  await a.seed(torrent, file);
  const request = { torrent, infohash, file: "/dev/full", peers: give };
  await t.rejects(b.download(request), { code: "E_DISK_FULL" });
  t.same(listed(b, infohash), []);
  await t.rejects(b.download(request), { code: "E_DISK_FULL" }, "and again, not a leftover of the first");
});

t.test("a file that cannot be opened", async (t) => {
  const { torrent, infohash, target } = await makeFile(t, MIB);
  await t.rejects(a.seed(torrent, target("absent")), { code: "E_FETCH" });
  await t.rejects(a.download({ torrent, infohash, file: target("no/where"), peers: [] }), {
    code: "E_FETCH",
  });
  t.same(listed(a, infohash), []);
});

t.test("the download limit holds", async (t) => {
  const { file, torrent, infohash, target } = await makeFile(t, 2 * MIB);
  const slow = await swarmAt(t, fleet[2], { downloadBytesPerSecond: MIB });
  await a.seed(torrent, file);
  const startedAtMs = Date.now();
  await slow.download({ torrent, infohash, file: target("b"), peers: give });
  t.ok(Date.now() - startedAtMs > 800, `${Date.now() - startedAtMs} ms`);
});

t.test("removing ends a download, and removing what is not there is fine", async (t) => {
  const { torrent, infohash, target } = await makeFile(t, MIB);
  const done = t.rejects(a.download({ torrent, infohash, file: target("x"), peers: [] }), {
    code: "E_FETCH",
  });
  await until("the download", () => listed(a, infohash).length === 1);
  await a.remove(infohash);
  await a.remove(infohash);
  await done;
});
