/** The ready-made HTTP proxy over fake versions: policies, retries, versions that come and go. */
import t from "tap";
import { repliesIn } from "../../testing/index.ts";
import { byVersion, exchange, makeScene, plain, type Answer } from "./http-scene.ts";

t.test("writes go to all, reads to the newest", async (t) => {
  const { harness, arrived } = makeScene({ answer: byVersion });
  t.same(await exchange(harness, plain("PUT", "/a", "x"), plain("GET", "/a")), [
    [200, "v2"],
    [200, "v2"],
  ]);
  t.same(arrived.toSorted(), ["1 PUT /a", "2 GET /a", "2 PUT /a"]);
});

t.test("what the newest does not have is asked of the older", async (t) => {
  const answer: Answer = (_request, version) => ({ status: version === 2 ? 404 : 200, body: `v${version}` });
  const { harness, arrived } = makeScene({ answer });
  t.same(await exchange(harness, plain("GET", "/a")), [[200, "v1"]]);
  t.same(arrived, ["2 GET /a", "1 GET /a"]);
});

t.test("a write that one version refuses is refused", async (t) => {
  const { harness } = makeScene({ answer: (_request, version) => ({ status: version === 1 ? 409 : 200 }) });
  t.match(await exchange(harness, plain("PUT", "/a", "x")), [[409, ""]]);
});

t.test("a write waits for all before it, and what follows waits for the write", async (t) => {
  const { harness, arrived } = makeScene({ answer: byVersion, versions: [1] });
  const requests = [plain("GET", "/1"), plain("GET", "/2"), plain("PUT", "/3", "x"), plain("GET", "/4")];
  t.equal((await exchange(harness, ...requests)).length, 4);
  t.same(arrived, ["1 GET /1", "1 GET /2", "1 PUT /3", "1 GET /4"]);
});

t.test("more pipelined requests than are taken at once", async (t) => {
  const { harness } = makeScene({ answer: (request) => ({ status: 200, body: request.target }) });
  const targets = Array.from({ length: 100 }, (_, n) => `/${n}`);
  const replies = await exchange(harness, ...targets.map((target) => plain("GET", target)));
  t.same(
    replies.map(([, body]) => body),
    targets,
  );
});

t.test("a read whose connection breaks is sent again, a write that may have arrived is not", async (t) => {
  let resets = 0;
  const answer: Answer = (_request, version) => {
    if (version === 2 && resets++ === 0) return "reset";
    return { status: 200, body: `v${version}` };
  };
  const reads = makeScene({ answer });
  const reading = reads.harness.connect();
  reading.send(plain("GET", "/a"));
  await reads.harness.advance(1000);
  t.match(repliesIn(reading.received, ["GET"]), [{ status: 200 }]);
  t.same(reads.arrived, ["2 GET /a", "2 GET /a"]);
  resets = 0;
  const writes = makeScene({ answer });
  const writing = writes.harness.connect();
  writing.send(plain("PUT", "/a", "x"));
  await writes.harness.advance(10_000);
  t.match(repliesIn(writing.received, ["PUT"]), [{ status: 502 }]);
  t.equal(writes.arrived.length, 2);
});

t.test("a write that could not be sent is tried again on a fresh connection", async (t) => {
  const { harness, arrived } = makeScene({
    answer: byVersion,
    admit: (version, count) => version === 1 || count > 3,
  });
  const client = harness.connect();
  client.send(plain("PUT", "/a", "x"));
  await harness.advance(2000);
  t.match(repliesIn(client.received, ["PUT"]), [{ status: 200 }]);
  t.same(arrived.toSorted(), ["1 PUT /a", "2 PUT /a"]);
});

t.test("a version that cannot be reached: writes 503, reads from the other", async (t) => {
  const { harness } = makeScene({ answer: byVersion, admit: (version) => version === 1 });
  const client = harness.connect();
  client.send(plain("GET", "/a") + plain("PUT", "/a", "x"));
  await harness.advance(20_000);
  t.match(repliesIn(client.received, ["GET", "PUT"]), [{ status: 200 }, { status: 503 }]);
});

t.test("a version that does not answer: 504 for the write, and the next request is not hurt", async (t) => {
  let hanging = true;
  const answer: Answer = (_request, version) =>
    version === 2 && hanging ? "hang" : { status: 200, body: `v${version}` };
  const { harness } = makeScene({ answer, limits: { requestTimeoutMs: 1000 } });
  const client = harness.connect();
  client.send(plain("PUT", "/a", "x"));
  await harness.advance(900);
  hanging = false;
  t.equal(client.received.length, 0);
  await harness.advance(200);
  client.send(plain("GET", "/a"));
  await harness.advance(100);
  t.match(repliesIn(client.received, ["PUT", "GET"]), [{ status: 504 }, { status: 200 }]);
  t.equal(harness.requestsInFlight, 0);
});

t.test("no version runs: 503", async (t) => {
  const { harness } = makeScene({ answer: byVersion, versions: [] });
  t.match(await exchange(harness, plain("GET", "/a"), plain("PUT", "/a", "x")), [[503], [503]]);
});

t.test("a version retired in the middle has no say: the write succeeds by the rest", async (t) => {
  const { harness } = makeScene({
    answer: (_request, version) => (version === 1 ? "hang" : { status: 200, body: "v2" }),
  });
  const client = harness.connect();
  client.send(plain("PUT", "/a", "x"));
  await harness.run();
  t.equal(client.received.length, 0);
  harness.setVersions([2]);
  await harness.run();
  t.match(repliesIn(client.received, ["PUT"]), [{ status: 200 }]);
});

t.test("a read whose only version is retired goes to those that came", async (t) => {
  const { harness } = makeScene({
    answer: (_request, version) => (version === 1 ? "hang" : { status: 200, body: "v2" }),
    versions: [1],
  });
  const client = harness.connect();
  client.send(plain("GET", "/a"));
  await harness.run();
  harness.setVersions([2]);
  await harness.run();
  t.match(repliesIn(client.received, ["GET"]), [{ status: 200 }]);
});

t.test("a write goes only to versions that ran when it was sent", async (t) => {
  const { harness, arrived } = makeScene({ answer: () => "hang", versions: [1] });
  const client = harness.connect();
  client.send(plain("PUT", "/a", "x"));
  await harness.run();
  harness.setVersions([1, 2]);
  await harness.run();
  t.same(arrived, ["1 PUT /a"]);
});

t.test("a server connection that was quiet for long is not trusted with a request", async (t) => {
  const { harness } = makeScene({
    answer: () => ({ status: 200, headers: [["Keep-Alive", "timeout=3"]] }),
    admit: (version, count) => version === 1 || count <= 2,
  });
  const client = harness.connect();
  client.send(plain("GET", "/a"));
  await harness.advance(1900);
  t.equal(client.core.linkCount, 1);
  client.send(plain("GET", "/b"));
  await harness.advance(2100);
  client.send(plain("PUT", "/c", "x"));
  await harness.run();
  t.match(repliesIn(client.received, ["GET", "GET", "PUT"]), [
    { status: 200 },
    { status: 200 },
    { status: 200 },
  ]);
});
