/** A version that fails what others do: kept out in time, told of, and nobody else's trouble. */
import t from "tap";
import { linesFraming, type ProxyOptions } from "../../index.ts";
import { framedScene } from "./framed-scene.ts";

const framing = linesFraming({
  classify: (line) => ({ kind: line.startsWith("put") ? "write" : "read" }),
  failure: (kind) => `ERR ${kind}`,
  isSuccess: (reply) => !reply.startsWith("ERR"),
  isFault: (reply) => reply === "ERR sick",
});

function scene(options: Partial<ProxyOptions<string, string>> & { readonly sick?: () => string } = {}) {
  const { sick = () => "ERR sick", ...rest } = options;
  const state = { sickVersion: 2 };
  const made = framedScene<string, string>({
    sickVersions: "quarantine",
    ...rest,
    framing,
    answer: (line, version) => (version === state.sickVersion ? sick() : `${line} at ${version}`),
  });
  const client = made.harness.connect();
  const ask = async (line: string): Promise<string> => {
    const before = client.received.length;
    client.send(`${line}\n`);
    await made.harness.advance(100);
    return client.received.subarray(before).toString().trimEnd();
  };
  return { ...made, ask, client, state };
}

t.test("strict: every write fails, and goes on failing", async (t) => {
  const { ask, proxy } = scene({ sickVersions: "strict" });
  for (let n = 0; n < 5; n += 1) t.equal(await ask("put"), "ERR sick");
  t.same(proxy.quarantined(), []);
  t.same(proxy.events(), []);
});

t.test(
  "quarantine: after three failures in a row the others go on alone, and an event says so",
  async (t) => {
    const { arrived, ask, proxy } = scene();
    t.equal(await ask("put 1"), "ERR sick");
    t.equal(await ask("put 2"), "ERR sick");
    t.equal(await ask("put 3"), "put 3 at 1", "this one others did");
    t.same(proxy.quarantined(), [2]);
    t.match(proxy.events(), [{ number: 1, kind: "version-quarantined", version: 2 }]);
    arrived.length = 0;
    t.equal(await ask("put 4"), "put 4 at 1");
    t.equal(await ask("get"), "get at 1", "reads do not go there either");
    t.same(new Set(arrived.map(({ version }) => version)), new Set([1]));
  },
);

t.test("a success in between begins the count anew", async (t) => {
  const { ask, proxy, state } = scene();
  for (const sickVersion of [2, 2, 0, 2, 2]) {
    state.sickVersion = sickVersion;
    await ask("put");
  }
  t.same(proxy.quarantined(), []);
  await ask("put");
  t.same(proxy.quarantined(), [2]);
});

t.test("the oldest is spared unless one says otherwise; the last is never kept out", async (t) => {
  const spared = scene({ sickVersions: { afterFailures: 1 } });
  spared.state.sickVersion = 1;
  t.equal(await spared.ask("put"), "ERR sick");
  t.same(spared.proxy.quarantined(), []);
  const { ask, proxy, state } = scene({ sickVersions: { afterFailures: 1, spareOldest: false } });
  state.sickVersion = 1;
  t.equal(await ask("put"), "put at 2");
  t.same(proxy.quarantined(), [1]);
  state.sickVersion = 2;
  t.equal(await ask("put"), "ERR sick");
  t.same(proxy.quarantined(), [1]);
});

t.test("when all fail a write, it says nothing of anybody", async (t) => {
  const { harness, proxy } = framedScene<string, string>({
    framing,
    sickVersions: { afterFailures: 1 },
    answer: () => "ERR sick",
  });
  const client = harness.connect();
  client.send("put\n");
  await harness.run();
  t.same(proxy.quarantined(), []);
});

t.test("a refusal is no sickness", async (t) => {
  const { ask, proxy } = scene({ sick: () => "ERR no such thing" });
  for (let n = 0; n < 5; n += 1) await ask("put");
  t.same(proxy.quarantined(), []);
});

t.test("a version that breaks its connections, with writes of others in flight", async (t) => {
  const { client, harness, proxy } = scene({ sickVersions: { afterFailures: 2 }, sick: () => "reset" });
  const others = [1, 2, 3].map(() => harness.connect());
  for (const each of [client, ...others]) each.send("put a\nput b\n");
  await harness.advance(1000);
  const replies = [client, ...others].map((each) => each.received.toString().trimEnd().split("\n"));
  t.same(proxy.quarantined(), [2]);
  t.equal(proxy.events().length, 1);
  for (const [first, second, ...more] of replies) {
    t.match(first, /^(ERR broken|put a at 1)$/);
    t.equal(second, "put b at 1");
    t.same(more, []);
  }
  t.equal(harness.requestsInFlight, 0);
});

t.test("readmitted, it has its say again; gone and come back, too", async (t) => {
  const { ask, harness, proxy, state } = scene({ sickVersions: { afterFailures: 1 } });
  await ask("put");
  state.sickVersion = 0;
  t.equal(await ask("get"), "get at 1");
  t.ok(proxy.readmit(2, 5));
  t.notOk(proxy.readmit(2, 5));
  t.equal(await ask("get"), "get at 2");
  t.match(proxy.events(), [{ number: 1 }, { number: 2, kind: "version-readmitted", atMs: 5 }]);
  state.sickVersion = 2;
  await ask("put");
  state.sickVersion = 0;
  t.same(proxy.quarantined(), [2]);
  harness.setVersions([1]);
  await harness.run();
  harness.setVersions([1, 2]);
  t.equal(await ask("get"), "get at 2");
});
