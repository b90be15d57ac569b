import t from "tap";
import type { AdvertisedStatus, Advertisement } from "../../control/contract.ts";
import { GossipCore } from "../../gossip/core.ts";
import type { GossipAction, LocalService } from "../../gossip/core.ts";
import { DEFAULT_GOSSIP_LIMITS as limits } from "../../gossip/limits.ts";

const TAG = 77;
const half = () => 0.5;
const ad = (version: number, status: AdvertisedStatus = "running"): Advertisement => ({ version, status });
const kv = (senderVersion: number, ...advertisements: Advertisement[]): LocalService => ({
  service: "kv",
  tag: TAG,
  senderVersion,
  advertisements,
});
const ofType = <T extends GossipAction["type"]>(actions: GossipAction[], type: T) =>
  actions.filter((action): action is Extract<GossipAction, { type: T }> => action.type === type);

function coreWith(service: LocalService, peers: string[] = []): GossipCore {
  const core = new GossipCore("10.77.0.1", limits, 0);
  core.setManagedPeers(peers);
  core.setService(service, 0);
  return core;
}

t.test("with only its own version to tell, marks carry the sender's own", async (t) => {
  const core = coreWith(kv(1, ad(1)));
  t.same(ofType(core.tick(0, half), "advertise"), [
    { type: "advertise", tag: TAG, advertisement: undefined },
  ]);
  t.same(ofType(core.tick(10_000, half), "advertise"), [], "and are not told so again");
});

t.test("the only advertisement is told when it is not the sender's own", async (t) => {
  for (const only of [ad(2, "available"), ad(1, "retired")]) {
    const core = coreWith(kv(1, only));
    t.match(ofType(core.tick(0, half), "advertise"), [{ advertisement: only }]);
  }
});

t.test("news is advertised first, then everything in turns", async (t) => {
  const core = coreWith(kv(1, ad(1)));
  core.tick(0, half);
  core.setService(kv(1, ad(1), ad(2, "available")), 100);
  const told = [];
  for (let now = 100; now < 20_000; now += 250) told.push(...ofType(core.tick(now, half), "advertise"));
  t.same(told[0]?.advertisement, ad(2, "available"));
  t.ok(told.some(({ advertisement }) => advertisement?.version === 1));
});

t.test("an advertisement that the data path did not take is told again", async (t) => {
  const core = coreWith(kv(1, ad(1)));
  core.tick(0, half);
  core.advertiseFailed(TAG);
  t.equal(ofType(core.tick(10_000, half), "advertise").length, 1);
});

t.test("traffic with a beat of its own meets every advertisement", async (t) => {
  let seed = 1;
  const random = () => (seed = (seed * 16_807) % 2_147_483_647) / 2_147_483_647;
  const core = coreWith(kv(1, ad(1), ad(2, "available")));
  const seen = new Set<number | undefined>();
  let current: Advertisement | undefined;
  for (let now = 0; now < 60_000; now += 250) {
    for (const { advertisement } of ofType(core.tick(now, random), "advertise")) current = advertisement;
    if (now % 1_500 === 0) seen.add(current?.version);
  }
  t.same(seen, new Set([1, 2]));
});

t.test(
  "a mark of the data path is known by its tag; unknown tags and our own marks teach nothing",
  async (t) => {
    const core = coreWith(kv(1, ad(1)));
    const mark = { peerAddress: "10.77.0.2", tag: TAG, senderVersion: 2, advertisement: ad(2) };
    core.hearTag(mark, 1, 0);
    core.hearTag({ ...mark, tag: TAG + 1 }, 1, 0);
    core.hearTag({ ...mark, peerAddress: "10.77.0.1" }, 1, 0);
    t.same(ofType(core.tick(0, half), "report"), [
      {
        type: "report",
        senderObsolete: false,
        fact: { peerAddress: "10.77.0.2", service: "kv", senderVersion: 2, advertisement: ad(2) },
      },
    ]);
    t.equal(core.reported().length, 1);
  },
);

t.test("a peer that runs what is retired here is told so, in one mark, not too often", async (t) => {
  const core = coreWith(kv(2, ad(1, "retired"), ad(2)));
  const heard = { peerAddress: "10.77.0.2", service: "kv", senderVersion: 1, advertisement: ad(1) };
  core.hearDirect(heard, 0);
  core.hearDirect(heard, 10);
  const actions = core.tick(10, half);
  t.match(ofType(actions, "report"), [{ senderObsolete: true }]);
  t.same(ofType(actions, "send"), [
    {
      type: "send",
      peerAddress: "10.77.0.2",
      service: "kv",
      senderVersion: 2,
      advertisements: [ad(1, "retired")],
    },
  ]);
  core.hearDirect(heard, limits.noticeMs);
  t.equal(ofType(core.tick(limits.noticeMs, half), "send").length, 1);
});

t.test("a peer that says itself that its version is over needs no notice", async (t) => {
  const core = coreWith(kv(2, ad(1, "retired"), ad(2)));
  core.hearDirect(
    { peerAddress: "10.77.0.2", service: "kv", senderVersion: 1, advertisement: ad(1, "retired") },
    0,
  );
  const actions = core.tick(0, half);
  t.match(ofType(actions, "report"), [{ senderObsolete: false }]);
  t.same(ofType(actions, "send"), []);
});

t.test("forged senders cannot make a node send without bound", async (t) => {
  const core = coreWith(kv(2, ad(1, "retired"), ad(2)));
  for (let peer = 0; peer < 5_000; peer += 1) {
    const peerAddress = `192.0.${peer >> 8}.${peer & 255}`;
    core.hearDirect({ peerAddress, service: "kv", senderVersion: 1, advertisement: ad(1) }, 0);
  }
  t.ok(ofType(core.tick(0, half), "send").length <= limits.noticeRate.burst);
});

t.test("direct marks: all peers soon after news, then one per interval", async (t) => {
  const core = coreWith(kv(1, ad(1)), ["10.77.0.2", "10.77.0.3", "10.77.0.1"]);
  const first = ofType(core.tick(0, half), "send");
  t.same(first.map(({ peerAddress }) => peerAddress).toSorted(), ["10.77.0.2", "10.77.0.3"]);
  t.match(first[0], { service: "kv", senderVersion: 1, advertisements: [ad(1)] });
  t.equal(ofType(core.tick(limits.exchangeMs - 1, half), "send").length, 0);
  t.equal(ofType(core.tick(limits.exchangeMs, half), "send").length, 1);
  core.setService(kv(1, ad(1), ad(2, "available")), limits.exchangeMs + 1);
  t.equal(ofType(core.tick(limits.exchangeMs + 1, half), "send").length, 2);
});

t.test("a node where nothing runs names what it has", async (t) => {
  const core = coreWith(kv(0, ad(1, "retired"), ad(3, "available")), ["10.77.0.2"]);
  t.match(ofType(core.tick(0, half), "send"), [{ senderVersion: 3 }]);
  const ended = coreWith(kv(0, ad(1, "retired")), ["10.77.0.2"]);
  t.match(ofType(ended.tick(0, half), "send"), [{ senderVersion: 1 }]);
});

t.test("a service that is gone is silent and deaf", async (t) => {
  const core = coreWith(kv(1, ad(1)), ["10.77.0.2"]);
  core.removeService("kv");
  core.removeService("kv");
  core.hearTag({ peerAddress: "10.77.0.2", tag: TAG, senderVersion: 2, advertisement: ad(2) }, 1, 0);
  t.same(core.tick(0, half), []);
});
