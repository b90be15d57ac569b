import * as fc from "fast-check";
import t from "tap";
import type { AdvertisedStatus } from "../../control/contract.ts";
import { FactTable } from "../../gossip/facts.ts";
import { DEFAULT_GOSSIP_LIMITS } from "../../gossip/limits.ts";
import type { GossipLimits } from "../../gossip/limits.ts";
import type { HeardFact } from "../../gossip/room.ts";

const small: GossipLimits = {
  ...DEFAULT_GOSSIP_LIMITS,
  factsPerPeerMax: 4,
  managedPeersMax: 8,
  strangersMax: 4,
  peerRate: { burst: 2, perSecond: 2 },
  managedRate: { burst: 4, perSecond: 8 },
  strangersRate: { burst: 2, perSecond: 1 },
};

const fact = (peer: number, version = 2, status: AdvertisedStatus = "running"): HeardFact => ({
  peerAddress: `10.77.0.${peer}`,
  service: "kv",
  senderVersion: 1,
  advertisement: { version, status },
});

const anyFact = fc.record({
  peerAddress: fc.integer({ min: 0, max: 60 }).map((peer) => `10.77.0.${peer}`),
  service: fc.constantFrom("kv", "web", "dns"),
  senderVersion: fc.integer({ min: 1, max: 50 }),
  advertisement: fc.record({
    version: fc.integer({ min: 1, max: 50 }),
    status: fc.constantFrom<AdvertisedStatus>("running", "available", "retired", "aborted"),
  }),
});

const text = (fact: HeardFact) => JSON.stringify(fact);

t.test("a flood of any marks stays within the memory and the rates", async () => {
  fc.assert(
    fc.property(fc.array(anyFact, { maxLength: 400 }), fc.integer({ min: 0, max: 50 }), (flood, stepMs) => {
      const table = new FactTable(small, 0);
      table.setManaged(new Set(["10.77.0.1", "10.77.0.2"]));
      let now = 0;
      let told = 0;
      for (const heard of flood) {
        table.hear(heard, now);
        told += table.news(now).length;
        now += stepMs;
        const { facts, managedPeers, strangers } = table.counts();
        if (managedPeers > 2 || strangers > small.strangersMax) return false;
        if (facts > (managedPeers + strangers) * small.factsPerPeerMax) return false;
      }
      const { managedRate, strangersRate } = small;
      const burst = managedRate.burst + strangersRate.burst;
      return told <= burst + ((managedRate.perSecond + strangersRate.perSecond) * now) / 1000;
    }),
  );
});

t.test("what managed peers say is told, whatever strangers shout meanwhile", async () => {
  const genuine = fc.uniqueArray(fc.tuple(fc.integer({ min: 1, max: 6 }), fc.integer({ min: 1, max: 4 })), {
    maxLength: 20,
    selector: ([peer, version]) => `${peer} ${version}`,
  });
  fc.assert(
    fc.property(genuine, fc.array(anyFact, { minLength: 1, maxLength: 50 }), (pairs, flood) => {
      const table = new FactTable(small, 0);
      const facts = pairs.map(([peer, version]) => fact(peer, version));
      table.setManaged(new Set(facts.map((heard) => heard.peerAddress)));
      const told = new Set<string>();
      for (let now = 0; now < 10_000; now += 250) {
        for (const heard of flood) {
          const peerAddress = `192.0.2.${(now / 250 + heard.senderVersion) % 250}`;
          table.hear({ ...heard, peerAddress }, now);
        }
        for (const heard of facts) table.hear(heard, now, 1);
        for (const heard of table.news(now)) told.add(text(heard));
      }
      return facts.every((heard) => told.has(text(heard)));
    }),
    { numRuns: 50 },
  );
});

t.test("a genuine fact survives a flood with its own peer's forged address", async (t) => {
  const table = new FactTable(small, 0);
  table.setManaged(new Set(["10.77.0.1"]));
  table.hear(fact(1, 2), 0);
  for (let version = 100; version < 200; version += 1) table.hear(fact(1, version), 0);
  t.ok(table.news(0).some((heard) => heard.advertisement.version === 2));
  t.ok(table.counts().refused > 0);
});

t.test("news is told once, and again after the re-announce interval if it is still heard", async (t) => {
  const table = new FactTable(DEFAULT_GOSSIP_LIMITS, 0);
  table.hear(fact(1), 0);
  t.same(table.news(0), [fact(1)]);
  table.hear(fact(1), 59_999);
  t.same(table.news(59_999), []);
  t.same(table.news(70_000), [], "not heard since");
  table.hear(fact(1), 70_000);
  t.same(table.news(70_000), [fact(1)]);
});

t.test("a changed status is news at once", async (t) => {
  const table = new FactTable(DEFAULT_GOSSIP_LIMITS, 0);
  table.hear(fact(1, 2, "available"), 0);
  table.news(0);
  table.hear(fact(1, 2, "running"), 1);
  t.same(table.news(1), [fact(1, 2, "running")]);
  t.same(table.told(), [fact(1, 2, "running")]);
});

t.test("the same mark polled again was not heard again", async (t) => {
  const table = new FactTable(DEFAULT_GOSSIP_LIMITS, 0);
  table.hear(fact(1), 0, 777);
  table.news(0);
  table.hear(fact(1), 100_000, 779);
  t.same(table.news(100_000), []);
  t.equal(table.lastHeardMs("10.77.0.1", "kv"), 0);
  table.hear(fact(1), 100_000, 1_777);
  t.same(table.news(100_000), [fact(1)]);
});

t.test("an old status that the data path still remembers does not come back", async (t) => {
  const marks = [
    { heard: fact(1, 2, "running"), stampMs: 5_500 },
    { heard: fact(1, 2, "available"), stampMs: 5_000 },
  ];
  for (const order of [marks, marks.toReversed()]) {
    const table = new FactTable(DEFAULT_GOSSIP_LIMITS, 0);
    const told: HeardFact[] = [];
    for (let now = 0; now < 50_000; now += 250) {
      const jitterMs = (now / 250) % 3;
      for (const { heard, stampMs } of order) table.hear(heard, now, stampMs + jitterMs);
      told.push(...table.news(now));
    }
    t.same(told, [fact(1, 2, "running")]);
  }
});

t.test("a stranger who turns out to be managed keeps what it said", async (t) => {
  const table = new FactTable(small, 0);
  table.hear(fact(1), 0);
  table.setManaged(new Set(["10.77.0.1"]));
  t.match(table.counts(), { managedPeers: 1, strangers: 0, waiting: 1 });
  t.same(table.news(0), [fact(1)]);
  table.setManaged(new Set());
  t.match(table.counts(), { managedPeers: 0, strangers: 1 });
});

t.test("a saved table is restored as told, even if the clock was set back", async (t) => {
  const table = new FactTable(DEFAULT_GOSSIP_LIMITS, 0);
  table.hear(fact(1), 1_000_000);
  table.hear(fact(2), 1_000_000);
  table.news(1_000_000);
  const restored = new FactTable(DEFAULT_GOSSIP_LIMITS, 0);
  restored.restore(table.saved(), 0);
  t.same(restored.told(), [fact(1), fact(2)]);
  restored.hear(fact(1), 1);
  t.same(restored.news(1), []);
  restored.hear(fact(1), 60_001);
  t.same(restored.news(60_001), [fact(1)]);
});
