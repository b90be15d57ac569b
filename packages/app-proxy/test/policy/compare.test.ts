/** Comparing in the proxy: every request that is to be compared is accounted for, and no client sees anything of it. */
import * as fc from "fast-check";
import t from "tap";
import { linesFraming, type FramedProxy, type ProxyOptions } from "../../index.ts";
import { framedScene } from "./framed-scene.ts";

const framing = linesFraming({
  classify: (line) => ({ kind: line.startsWith("put") ? "write" : "read", key: line.split(" ")[1] ?? "" }),
  isSuccess: (line) => !line.startsWith("ERR"),
  failure: (kind) => `ERR ${kind}`,
  describe: (line) => line,
});

type Answer = (line: string, version: number, nth: number) => string;

function scene(answer: Answer, options: Partial<ProxyOptions<string, string>>, versions = [1, 2]) {
  let nth = 0;
  return framedScene<string, string>({
    compare: { comparable: (line) => Buffer.from(line) },
    ...options,
    framing,
    versions,
    answer: (line, version) => answer(line, version, (nth += 1)),
  });
}

/** All pairs that the reports know of. */
function accounted(proxy: Pick<FramedProxy, "comparisons">): number {
  return proxy
    .comparisons()
    .reduce((sum, { compared, dropped, unanswered }) => sum + compared + dropped + unanswered, 0);
}

t.test(
  "a shadow's replies are compared with what the client got; chance is learned from the older version",
  async (t) => {
    const { harness, proxy, arrived } = scene(
      (line, version, nth) =>
        JSON.stringify({ line, at: nth, sum: version === 2 && line === "get 7" ? 2 : 1 }),
      { shadow: {} },
    );
    const client = harness.connect();
    for (let key = 0; key < 20; key += 1) {
      client.send(`get ${key}\n`);
      await harness.run();
    }
    const [report] = proxy.comparisons();
    t.match(report, {
      baseline: 1,
      candidate: 2,
      compared: 20,
      dropped: 0,
      verdicts: { same: 0, noise: 19, different: 1 },
      fields: [
        { path: "sum", verdict: "different" },
        { path: "at", verdict: "noise" },
      ],
      samples: [
        { request: "get 7", paths: [{ path: "sum", baseline: "1", candidate: "2" }, { path: "at" }] },
      ],
    });
    t.equal(report?.chance.of, 20, "until a hundred, every read is asked twice");
    t.equal(arrived.filter(({ version }) => version === 1).length, 40);
    t.equal(arrived.filter(({ version }) => version === 2).length, 20);
    const lines = client.received.toString().trimEnd().split("\n");
    t.same(
      lines.map((line) => (JSON.parse(line) as { line: string }).line),
      Array.from({ length: 20 }, (_, key) => `get ${key}`),
      "the second reads reach nobody",
    );
  },
);

t.test("writes are compared, and never sent twice", async (t) => {
  const { harness, proxy, arrived } = scene((line, version) => (version === 2 ? `${line}!` : line), {
    shadow: {},
  });
  const client = harness.connect();
  client.send("put a\nput b\nput c\n");
  await harness.run();
  t.match(proxy.comparisons(), [{ compared: 3, verdicts: { different: 3 }, chance: { of: 0 } }]);
  t.equal(arrived.length, 6);
});

t.test("without a shadow, versions that are asked at once are compared", async (t) => {
  const { harness, proxy } = scene(
    (line, version) =>
      version === 2 && line === "put b" ? "ERR no" : version === 2 && line === "get 3" ? "x" : "OK",
    { reads: "first" },
  );
  const client = harness.connect();
  client.send("put a\nput b\nget 1\nget 2\nget 3\n");
  await harness.run();
  t.match(proxy.comparisons(), [
    { compared: 5, verdicts: { same: 3, different: 1, failed: 1 }, failedAt: { baseline: 0, candidate: 1 } },
  ]);
  const three = scene((line) => line, { reads: "first" }, [1, 2, 3]);
  three.harness.connect().send("get 1\nput 2\n");
  await three.harness.run();
  t.match(three.proxy.comparisons(), [
    { baseline: 1, candidate: 2, compared: 2 },
    { baseline: 1, candidate: 3, compared: 2 },
  ]);
  const fallback = scene((line, version) => (version === 2 ? "ERR none" : line), {});
  fallback.harness.connect().send("get 1\n");
  await fallback.harness.run();
  t.same(
    fallback.proxy.comparisons(),
    [],
    "an older version that is only asked when the newer has nothing is no pair",
  );
});

t.test("a shadow that is stuck, resets or is overrun: missing is told from dropped", async (t) => {
  const stuck = scene((line, version) => (version === 2 ? "hang" : line), { shadow: { copiesMax: 5 } });
  stuck.harness.connect().send(Array.from({ length: 50 }, (_, n) => `put ${n}\n`).join(""));
  await stuck.harness.run();
  await stuck.harness.advance(6_000);
  t.match(stuck.proxy.comparisons(), [{ compared: 5, verdicts: { missing: 5 }, dropped: 45 }]);

  const resets = scene((line, version) => (version === 2 ? "reset" : line), { shadow: {} });
  resets.harness.connect().send("get 1\n");
  await resets.harness.run();
  t.match(resets.proxy.comparisons(), [{ verdicts: { missing: 1 }, failedAt: { candidate: 1 } }]);

  const leaves = scene((line, version) => (version === 2 ? "hang" : line), { shadow: {} });
  const client = leaves.harness.connect();
  client.send("get 1\n");
  await leaves.harness.run();
  client.reset();
  await leaves.harness.run();
  await leaves.harness.advance(6_000);
  t.equal(accounted(leaves.proxy), 1, "also of a client that leaves");

  const drained = scene((line, version) => (version === 2 ? "hang" : line), { shadow: {} });
  drained.harness.connect().send("get 1\n");
  await drained.harness.run();
  drained.harness.drain();
  await drained.harness.run();
  t.match(drained.proxy.comparisons(), [{ compared: 0, dropped: 1 }], "what we cut says nothing of versions");
});

t.test("what the application's functions throw costs pairs, never clients", async (t) => {
  const options = [
    { comparable: () => { throw new Error("bad"); } }, // prettier-ignore
    { describe: () => { throw new Error("bad"); }, comparable: (line: string) => line }, // prettier-ignore
    { wants: () => { throw new Error("bad"); } }, // prettier-ignore
  ];
  for (const [at, compare] of options.entries()) {
    const { harness, proxy } = scene((line, version) => `${line} ${version}`, { shadow: {}, compare });
    const client = harness.connect();
    client.send("get 1\nget 2\n");
    await harness.run();
    t.equal(client.received.toString(), "get 1 1\nget 2 1\n");
    t.equal(accounted(proxy), at === 2 ? 0 : 2);
    t.equal(proxy.comparisons()[0]?.dropped ?? 0, at === 0 ? 2 : 0);
  }
});

t.test("a second read that hangs holds up nobody who did not wait anyway, and is forgotten", async (t) => {
  let reads = 0;
  const { harness, proxy } = scene(
    (line, version) => (version === 1 && line === "get 1" && (reads += 1) === 2 ? "hang" : line),
    { shadow: {} },
  );
  const client = harness.connect();
  client.send("get 1\n");
  await harness.run();
  t.equal(client.received.toString(), "get 1\n");
  await harness.advance(6_000);
  t.match(proxy.comparisons(), [{ compared: 1, verdicts: { same: 1 }, chanceLost: 1 }]);
});

t.test("no reply and no pair is lost under random failures, splits and changes of versions", async () => {
  const run = async (
    choices: readonly number[],
    shadowed: boolean,
    changes: boolean,
    lines: readonly string[],
  ): Promise<boolean> => {
    let next = 0;
    const choose = (below: number): number =>
      (choices[(next += 1) % choices.length] ?? 0) % Math.max(1, below);
    const { harness, proxy } = framedScene<string, string>({
      framing,
      compare: { comparable: (line) => Buffer.from(line), controlShare: 1 },
      ...(shadowed ? { shadow: {} } : { reads: "first" as const }),
      harness: { choose, cut: () => 1 + choose(9) },
      answer: (line, version) => {
        const fate = choose(24);
        if (version === 2 && fate === 0) return "reset";
        // Where it has a say, a version that hangs makes later requests wait until they are never sent.
        if (version === 2 && fate === 1 && (shadowed || changes)) return "hang";
        return version === 2 && fate === 2 ? `${line}?` : line;
      },
    });
    const clients = [harness.connect(), harness.connect()];
    for (const [at, line] of lines.entries()) {
      clients[at % 2]?.send(`${line}\n`);
      if (choose(3) === 0) await harness.run();
      if (changes && choose(9) === 0) harness.setVersions(harness.versions.has(2) ? [1] : [1, 2]);
    }
    await harness.run();
    await harness.advance(40_000);
    for (const client of clients) client.reset();
    await harness.run();
    const counts = proxy.comparisons();
    const sum = accounted(proxy);
    const fits = counts.every(
      ({ verdicts, compared }) =>
        Object.values(verdicts).reduce((total, count) => total + count, 0) === compared,
    );
    // With both versions there all the time, every request makes a pair; a change takes the pairs away, never adds one.
    return fits && (changes ? sum <= lines.length : sum === lines.length);
  };
  await fc.assert(
    fc.asyncProperty(
      fc.array(fc.nat(1_000), { minLength: 50, maxLength: 200 }),
      fc.boolean(),
      fc.boolean(),
      fc.array(fc.constantFrom("get 1", "get 2", "put 1", "put 2"), { minLength: 1, maxLength: 30 }),
      run,
    ),
    { numRuns: 200 },
  );
});
