/** Handlers for streams and for datagrams, each with a quarantine of its own, as whoever watches the process sees them. */
import t from "tap";
import type { Test } from "tap";
import { Watched } from "../../host/watched.ts";
import { createProxy, datagramFraming, linesFraming, type FramedProxy } from "../../index.ts";
import { framedScene } from "../policy/framed-scene.ts";

const lines = linesFraming({
  classify: () => ({ kind: "write" }),
  failure: (kind) => `ERR ${kind}`,
  isSuccess: (reply) => !reply.startsWith("ERR"),
  isFault: (reply) => reply === "ERR sick",
});

const datagrams = datagramFraming<string, string>({
  decodeRequest: String,
  decodeReply: String,
  encodeRequest: (request) => Buffer.from(request),
  encodeReply: (reply) => Buffer.from(reply),
});

interface Scene {
  readonly watched: Watched;
  readonly streams: FramedProxy;
  readonly udp: FramedProxy;
  /** A write that version 2 fails. */
  readonly write: () => Promise<void>;
}

function scene(): Scene {
  const { harness, proxy } = framedScene<string, string>({
    framing: lines,
    sickVersions: "quarantine",
    answer: (line, version) => (version === 2 ? "ERR sick" : line),
  });
  const udp = createProxy<string, string>({ framing: datagrams, sickVersions: "quarantine" });
  const client = harness.connect();
  const write = async (): Promise<void> => {
    client.send("put\n");
    await harness.advance(100);
  };
  return { watched: new Watched({ ...proxy, datagrams: udp }), streams: proxy, udp, write };
}

async function sicken(t: Test, { streams, write }: Scene): Promise<void> {
  for (let writes = 0; writes < 3; writes += 1) await write();
  t.same(streams.quarantined(), [2]);
}

t.test("a version that is sick by TCP is kept out by UDP too, and told of once", async (t) => {
  const made = scene();
  let told = 0;
  made.watched.onEvent(() => (told += 1));
  t.same([made.watched.quarantined(), made.watched.events()], [[], []]);
  await sicken(t, made);
  t.same(made.udp.quarantined(), [2]);
  t.same(made.watched.quarantined(), [2]);
  t.match(made.watched.events(), [{ number: 1, kind: "version-quarantined", version: 2 }]);
  t.equal(told, 1);
  t.equal(made.watched.counts()?.["2"]?.sent, 3);
});

t.test("readmitted, it has its say on both sides, and it is told once", async (t) => {
  const made = scene();
  await sicken(t, made);
  t.equal(made.watched.readmit(2, 0), true);
  t.same([made.streams.quarantined(), made.udp.quarantined()], [[], []]);
  t.same(
    made.watched.events().map(({ kind, number }) => [number, kind]),
    [
      [1, "version-quarantined"],
      [2, "version-readmitted"],
    ],
  );
  t.equal(made.watched.readmit(2, 0), false);
});

t.test("what an earlier process found sick is kept out on both sides", async (t) => {
  const { streams, udp, watched } = scene();
  watched.quarantine(3);
  t.same([streams.quarantined(), udp.quarantined()], [[3], [3]]);
});

t.test("handlers that say nothing of themselves are no trouble", async (t) => {
  const watched = new Watched({ handleRequest: () => 0, handleReply: () => 0 });
  watched.quarantine(1);
  t.same(
    [watched.counts(), watched.quarantined(), watched.events(), watched.comparisons(), watched.readmit(1, 0)],
    [undefined, undefined, [], [], false],
  );
});
