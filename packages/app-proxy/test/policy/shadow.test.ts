/** Copies for versions that have no say: in order, bounded, and never in the client's way. */
import t from "tap";
import {
  linesFraming,
  respEncode,
  respFraming,
  respRequest,
  type ProxyOptions,
  type ShadowPair,
} from "../../index.ts";
import { framedScene } from "./framed-scene.ts";

const framing = linesFraming({
  classify: (line) => ({ kind: line.startsWith("put") ? "write" : "read" }),
  failure: (kind) => `ERR ${kind}`,
});

function scene(
  answer: (line: string, version: number) => string,
  options: Partial<ProxyOptions<string, string>> = {},
) {
  const pairs: ShadowPair<string, string>[] = [];
  const { shadow, ...rest } = options;
  const made = framedScene<string, string>({
    ...rest,
    framing,
    answer,
    shadow: { onReply: (pair) => pairs.push(pair), ...shadow },
  });
  const reached = (wanted: number) =>
    made.arrived.filter(({ version }) => version === wanted).map(({ request }) => request);
  return { ...made, pairs, reached };
}

t.test(
  "the answer comes from the others; the newest gets copies of reads and writes, in order",
  async (t) => {
    const { harness, pairs, proxy, reached } = scene((line, version) => `${line} at ${version}`);
    const client = harness.connect();
    client.send("get 1\nput 2\nget 3\n");
    await harness.run();
    t.equal(client.received.toString(), "get 1 at 1\nput 2 at 1\nget 3 at 1\n");
    t.same(reached(2), ["get 1", "put 2", "get 3"]);
    t.same(pairs[1], { request: "put 2", reply: "put 2 at 1", version: 2, shadowReply: "put 2 at 2" });
    t.match(proxy.counts(), { 2: { sent: 3, replied: 3, dropped: 0 } });
    t.equal(client.core.bufferedBytes, 0);
  },
);

t.test("a stuck shadow holds up nothing, and no more than its share is kept for it", async (t) => {
  const { harness, proxy, reached } = scene((line, version) => (version === 2 ? "hang" : line), {
    shadow: { copiesMax: 5 },
  });
  const client = harness.connect();
  const lines = Array.from({ length: 50 }, (_, n) => `put ${n}`);
  client.send(lines.map((line) => `${line}\n`).join(""));
  await harness.run();
  t.equal(client.received.toString(), lines.map((line) => `${line}\n`).join(""));
  t.equal(harness.requestsInFlight, 0, "a change of versions does not wait for copies");
  t.same(reached(2), ["put 0"]);
  t.match(proxy.counts(), { 2: { sent: 5, dropped: 45 } });
  await harness.advance(6_000);
  t.match(proxy.counts(), { 2: { failed: 5 } });
  t.equal(client.core.bufferedBytes, 0);
});

t.test("a shadow that takes no bytes does not stop the client from being read", async (t) => {
  const { harness, proxy } = scene((line) => line, { shadow: { bytesMax: 40_000 } });
  const client = harness.connect();
  const line = `put ${"x".repeat(10_000)}\n`;
  client.send(line);
  await harness.run();
  // Its stream is stopped in the middle: nothing that is sent to it leaves the process.
  for (const stream of client.streams().slice(4)) stream.paused = true;
  for (let n = 0; n < 10; n += 1) client.send(line);
  await harness.run();
  t.equal(client.received.length, 11 * line.length);
  t.ok((proxy.counts()["2"]?.dropped ?? 0) > 0);
});

t.test("shadows that refuse connections or reset them are nobody's trouble", async (t) => {
  for (const trouble of ["refuse", "reset"] as const) {
    const { harness } = framedScene<string, string>({
      framing,
      shadow: {},
      admit: (version) => trouble !== "refuse" || version === 1,
      answer: (line, version) => (version === 2 && trouble === "reset" ? "reset" : line),
    });
    const client = harness.connect();
    client.send("get 1\nput 2\n");
    await harness.run();
    t.equal(client.received.toString(), "get 1\nput 2\n", trouble);
    await harness.advance(10_000);
    client.end();
    await harness.run();
    t.equal(client.closed, "ended");
  }
});

t.test("the last copies of a client that leaves are still sent", async (t) => {
  const { harness, reached } = scene((line) => line);
  const client = harness.connect();
  client.send("put 1\n");
  client.end();
  await harness.run();
  t.equal(client.closed, "ended");
  t.same(reached(2), ["put 1"]);
});

t.test("when the others are retired the shadow answers", async (t) => {
  const { harness, reached } = scene((line, version) => `${line} at ${version}`);
  const client = harness.connect();
  client.send("put 1\n");
  await harness.run();
  harness.setVersions([2]);
  client.send("get 2\n");
  await harness.run();
  t.equal(client.received.toString(), "put 1 at 1\nget 2 at 2\n");
  t.same(reached(2), ["put 1", "get 2"]);
});

t.test("a version that becomes the shadow while it owes replies", async (t) => {
  const { harness } = scene((line, version) => (version === 2 ? "hang" : `${line} at ${version}`), {
    shadow: { versions: (version, running) => running.has(3) && version === 2 },
  });
  const client = harness.connect();
  client.send("put 1\n");
  await harness.run();
  t.equal(client.received.length, 0);
  harness.setVersions([1, 2, 3]);
  await harness.run();
  t.equal(client.received.toString(), "put 1 at 1\n");
});

t.test("draining does not wait for copies", async (t) => {
  const { harness } = scene((line, version) => (version === 2 ? "hang" : line));
  const client = harness.connect();
  client.send("get 1\n");
  await harness.run();
  harness.drain();
  await harness.advance(1_100);
  t.ok(client.ended);
});

t.test("shadows get the session too", async (t) => {
  const framing = respFraming();
  const { arrived, harness } = framedScene({ framing, shadow: {}, answer: () => respEncode("OK") });
  const client = harness.connect();
  const requests = [respRequest("SELECT", "3"), respRequest("GET", "k")];
  client.send(Buffer.concat(requests.flatMap((each) => framing.encodeRequest(each))));
  await harness.run();
  t.same(
    arrived.filter(({ version }) => version === 2).map(({ request }) => request.words.map(String).join(" ")),
    ["SELECT 3", "GET k"],
  );
});
