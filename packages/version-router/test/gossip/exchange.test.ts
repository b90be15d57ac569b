import * as fc from "fast-check";
import t from "tap";
import { dueExchanges, startExchange } from "../../gossip/exchange.ts";
import { DEFAULT_GOSSIP_LIMITS as limits } from "../../gossip/limits.ts";

const peersOf = (count: number) => Array.from({ length: count }, (_, index) => `10.77.0.${index}`);

t.test("every quiet peer is reached within as many intervals as there are peers", async () => {
  fc.assert(
    fc.property(
      fc.integer({ min: 1, max: 40 }),
      fc.double({ min: 0, max: 0.999, noNaN: true }),
      (count, random) => {
        const peers = peersOf(count);
        const state = { ...startExchange(0, limits), urgent: 0 };
        const reached = new Set<string>();
        for (let round = 0; round < count; round += 1) {
          const now = round * limits.exchangeMs;
          for (const peer of dueExchanges(
            state,
            peers,
            () => true,
            limits,
            now,
            () => random,
          ))
            reached.add(peer);
        }
        return reached.size === count;
      },
    ),
  );
});

t.test("news goes to several peers at once, each another", async (t) => {
  const state = startExchange(0, limits);
  const sent = dueExchanges(
    state,
    peersOf(5),
    () => false,
    limits,
    0,
    () => 0.9,
  );
  t.same(sent, ["10.77.0.4", "10.77.0.0", "10.77.0.1"]);
  t.same(
    dueExchanges(state, peersOf(5), () => true, limits, limits.exchangeMs - 1, Math.random),
    [],
  );
});

t.test("news waits for the first peer to become known", async (t) => {
  const state = startExchange(0, limits);
  t.same(
    dueExchanges(
      state,
      [],
      () => true,
      limits,
      0,
      () => 0,
    ),
    [],
  );
  t.same(
    dueExchanges(
      state,
      ["a", "b"],
      () => true,
      limits,
      1,
      () => 0,
    ),
    ["a", "b"],
  );
});

t.test("a peer with which the service talks is passed over, but not for ever", async (t) => {
  const state = { ...startExchange(0, limits), urgent: 0 };
  const busy = (peer: string) => peer !== "a";
  const counts = new Map<string, number>();
  for (let round = 0; round < 80; round += 1) {
    const now = round * limits.exchangeMs;
    for (const peer of dueExchanges(state, ["a", "b"], busy, limits, now, () => 0)) {
      counts.set(peer, (counts.get(peer) ?? 0) + 1);
    }
  }
  t.ok((counts.get("b") ?? 0) > (counts.get("a") ?? 0), "the quiet one gets more");
  const busyOnly = { ...startExchange(0, limits), urgent: 0 };
  const rounds = Array.from(
    { length: 8 },
    (_, round) =>
      dueExchanges(
        busyOnly,
        ["a"],
        () => false,
        limits,
        round * limits.exchangeMs,
        () => 0,
      ).length,
  );
  t.same(rounds, [0, 0, 0, 1, 0, 0, 0, 1]);
});
