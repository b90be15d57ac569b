import * as fc from "fast-check";
import t from "tap";
import { load, RELEASES, type Item, type StoreModule } from "./release-modules.ts";

const item: fc.Arbitrary<Item> = fc.record({
  key: fc.string({ minLength: 1, maxLength: 3 }),
  value: fc.string({ maxLength: 5 }),
  timestamp: fc.integer({ min: 1, max: 20 }),
  node: fc.constantFrom("kv-10.0.0.1", "kv-10.0.0.2"),
});

for (const release of RELEASES) {
  t.test(release, async (t) => {
    const { Store, BUCKETS } = await load<StoreModule>(release, "store.js");

    t.test("replicas that saw the same writes in any order hold the same items", async () => {
      const orders = fc
        .array(item, { maxLength: 40 })
        .chain((writes) =>
          fc.tuple(fc.constant(writes), fc.shuffledSubarray(writes, { minLength: writes.length })),
        );
      fc.assert(
        fc.property(orders, ([one, other]) => {
          const stores = [one, other].map((writes) => {
            const store = new Store();
            for (const write of writes) store.merge(write);
            return store;
          });
          return stores[0]?.digest() === stores[1]?.digest() && stores[0]?.size === stores[1]?.size;
        }),
      );
    });

    t.test("digests differ exactly in the buckets that differ", async (t) => {
      const [one, other] = [new Store(), new Store()];
      for (let number = 0; number < 200; number += 1) {
        const write = { key: `k${number}`, value: "v", timestamp: 1, node: "a" };
        one.merge(write);
        other.merge(write);
      }
      t.same(one.digests(), other.digests());
      other.merge({ key: "k7", value: "w", timestamp: 2, node: "a" });
      const differing = one
        .digests()
        .flatMap((digest, bucket) => (digest === other.digests()[bucket] ? [] : [bucket]));
      t.equal(differing.length, 1);
      t.ok(other.page(differing.at(0) as number, undefined, 1e6).some(({ value }) => value === "w"));
    });

    t.test("pages of a bucket cover it once, each below the limit or of one item", async () => {
      fc.assert(
        fc.property(
          fc.array(item, { maxLength: 60 }),
          fc.integer({ min: 1, max: 500 }),
          (writes, charactersMax) => {
            const store = new Store();
            for (const write of writes) store.merge(write);
            const seen: string[] = [];
            for (let bucket = 0; bucket < BUCKETS; bucket += 1) {
              let page = store.page(bucket, undefined, charactersMax);
              while (page.length > 0) {
                seen.push(...page.map(({ key }) => key));
                page = store.page(bucket, page.at(-1)?.key, charactersMax);
              }
            }
            return seen.length === store.size && new Set(seen).size === store.size;
          },
        ),
      );
    });

    t.test("timestamps grow, also behind a peer whose clock is ahead", async (t) => {
      const store = new Store();
      const first = store.nextTimestamp(1000);
      t.equal(first, 1_000_000);
      t.equal(store.nextTimestamp(1000), first + 1);
      store.merge({ key: "k", value: "v", timestamp: 5_000_000, node: "ahead" });
      t.equal(store.nextTimestamp(1000), 5_000_001);
    });

    t.test(
      "a wished timestamp is kept on a new key, and raised above the item that it replaces",
      async (t) => {
        const store = new Store();
        t.equal(store.timestampFrom(7, "k"), 7);
        store.merge({ key: "k", value: "v", timestamp: 9, node: "a" });
        t.equal(store.timestampFrom(7, "k"), 10);
        t.equal(store.timestampFrom(11, "k"), 11);
      },
    );
  });
}
