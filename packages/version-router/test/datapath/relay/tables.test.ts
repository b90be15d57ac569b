/** The relay's bounded tables: clients' datagrams, what was heard, what is counted. */
import t from "tap";
import { ClientFlows } from "../../../datapath/relay/client-flows.ts";
import { Tally, sumUp } from "../../../datapath/relay/tally.ts";

const client = { address: 0x0a000064, port: 5000 };

t.test("a client stays with its domain while it goes on, and is gone when silent", async (t) => {
  let now = 0;
  const flows = new ClientFlows(() => now);
  t.equal(
    flows.ask(client, 53, () => undefined),
    undefined,
    "nowhere to go is not remembered",
  );
  t.equal(
    flows.ask(client, 53, () => 1),
    1,
  );
  now = 29_999;
  t.equal(
    flows.ask(client, 53, () => 2),
    1,
  );
  t.ok(flows.answer(client, 53, 1));
  t.notOk(flows.answer(client, 53, 2), "another domain's client");
  t.equal(flows.count(1), 1);
  t.same(flows.elements(), ["10.0.0.100 . 5000 . 53"]);
  now += 30_000;
  t.equal(flows.count(1), 0);
  t.equal(
    flows.ask(client, 53, () => 2),
    2,
  );
  t.equal(flows.forget(2), 1);
  t.same(flows.elements(), []);
});

t.test("clients beyond the table's size are served, not remembered", async (t) => {
  const flows = new ClientFlows(() => 0);
  for (let port = 0; port < 65_535; port += 1) flows.answer({ address: 1, port }, 53, 0);
  t.equal(
    flows.ask(client, 53, () => 1),
    1,
  );
  t.equal(flows.count(1), 0);
});

t.test("strangers' marks fill no more than their table; the longest unheard goes first", async (t) => {
  const tally = new Tally();
  for (let version = 1; version <= 5000; version += 1)
    tally.hear("10.0.0.2", { tag: 7, version, advertisement: { version: 1, status: "running" } }, version);
  const heard = tally.heard();
  t.equal(heard.length, 4096);
  t.equal(heard[0]?.senderVersion, 905);
  t.equal(heard.at(-1)?.lastHeardMs, 5000);
  tally.hear("10.0.0.3", { tag: 7, version: 1, advertisement: undefined }, 1);
  t.equal(tally.heard().length, 4096, "a status that is not known teaches nothing");
});

t.test("counters of socket and rules are one", async (t) => {
  const tally = new Tally();
  tally.count({ tag: 7, version: 1 }, "marked", 10);
  tally.count({ tag: 7, version: 1 }, "marked", 5);
  const more = { tag: 7, version: 1, verdict: "marked", packets: 1, bytes: 1 };
  const sums = sumUp([...tally.counters(), more, { ...more, tag: 0, version: 0 }], (tag) =>
    tag === 7 ? "kv" : "",
  );
  t.same(sums, [
    { service: "kv", version: 1, verdict: "marked", packets: 3, bytes: 16 },
    { service: "", version: 0, verdict: "marked", packets: 1, bytes: 1 },
  ]);
});
