/** Many cores in one process, joined by a network that loses datagrams: news reaches everybody. */
import * as fc from "fast-check";
import t from "tap";
import { GossipCore } from "../../gossip/core.ts";
import { DEFAULT_GOSSIP_LIMITS as limits } from "../../gossip/limits.ts";

const STEP_MS = 250;

interface Node {
  readonly address: string;
  readonly core: GossipCore;
  informed: boolean;
}

function makeFleet(size: number): Node[] {
  const addresses = Array.from({ length: size }, (_, index) => `10.0.${index >> 8}.${index & 255}`);
  return addresses.map((address) => {
    const core = new GossipCore(address, limits, 0);
    core.setManagedPeers(addresses);
    core.setService(
      { service: "kv", tag: 7, senderVersion: 1, advertisements: [{ version: 1, status: "running" }] },
      0,
    );
    return { address, core, informed: false };
  });
}

function inform(node: Node, nowMs: number): void {
  node.informed = true;
  const advertisements = [
    { version: 1, status: "running" },
    { version: 2, status: "available" },
  ] as const;
  node.core.setService({ service: "kv", tag: 7, senderVersion: 1, advertisements }, nowMs);
}

/** Virtual milliseconds until every node knows version 2; each node that hears of it advertises it at once. */
function spread(size: number, lossShare: number, random: () => number): number {
  const fleet = makeFleet(size);
  const byAddress = new Map(fleet.map((node) => [node.address, node]));
  let now = 0;
  while (now < 20_000) {
    for (const { core } of fleet) core.tick(now, random);
    now += STEP_MS;
  }
  const start = now;
  for (const first of fleet.slice(0, 1)) inform(first, now);
  for (; fleet.some((node) => !node.informed) && now - start < 600_000; now += STEP_MS) {
    for (const sender of fleet) {
      for (const action of sender.core.tick(now, random)) {
        if (action.type === "report" && action.fact.advertisement.version === 2 && !sender.informed)
          inform(sender, now);
        if (action.type !== "send" || random() < lossShare) continue;
        for (const advertisement of action.advertisements) {
          const { service, senderVersion } = action;
          const heard = { peerAddress: sender.address, service, senderVersion, advertisement };
          byAddress.get(action.peerAddress)?.core.hearDirect(heard, now);
        }
      }
    }
  }
  return now - start;
}

function seeded(seed: number): () => number {
  let state = (seed % 2_147_483_646) + 1;
  return () => (state = (state * 16_807) % 2_147_483_647) / 2_147_483_647;
}

t.test("three nodes know within two rounds of the poll", async (t) => {
  t.ok(spread(3, 0, seeded(1)) <= 2 * STEP_MS);
});

t.test("an idle fleet of any small size learns, with a fifth of the datagrams lost", async () => {
  fc.assert(
    fc.property(fc.integer({ min: 2, max: 25 }), fc.nat({ max: 1e6 }), (size, seed) => {
      return spread(size, 0.2, seeded(seed)) <= (size + 10) * limits.exchangeMs;
    }),
    { numRuns: 20 },
  );
});

t.test("three hundred nodes learn in a number of intervals like the logarithm of their number", async (t) => {
  const tookMs = spread(300, 0.1, seeded(42));
  t.ok(tookMs <= 10 * limits.exchangeMs, `took ${tookMs} ms`);
});
