/** What counts as a leak, and what does not. */
import t from "tap";
import { leaks, slope } from "../../soak/verdicts.ts";
import type { Rest } from "../../soak/verdicts.ts";

const MIB = 2 ** 20;

/** A thousand connections between rests. */
const rests = (count: number, of: (index: number) => Partial<Rest> = () => ({})): readonly Rest[] =>
  Array.from({ length: count }, (_, index) => ({
    connections: index * 1000,
    rssBytes: 100 * MIB,
    heapBytes: 8 * MIB,
    externalBytes: 4 * MIB,
    sockets: 0,
    timers: 0,
    descriptors: 25,
    ...of(index),
  }));

t.test("at rest means as before", async (t) => {
  t.same(leaks(rests(7), 200 * MIB), []);
  t.same(
    leaks(
      rests(7, (index) => (index === 3 ? { sockets: 1, heapBytes: 20 * MIB } : {})),
      0,
    ),
    [],
  );
  // The program's code gets compiled in the beginning.
  t.same(
    leaks(
      rests(9, (index) => ({ heapBytes: Math.min(index, 3) * MIB })),
      0,
    ),
    [],
  );
});

t.test("a little per connection is a leak", async (t) => {
  t.match(
    leaks(
      rests(7, (index) => ({ heapBytes: index * 300_000 })),
      0,
    ),
    [/heap .* by 300 bytes/],
  );
  t.match(
    leaks(
      rests(7, (index) => ({ externalBytes: index * 1_000_000 })),
      0,
    ),
    [/buffers .* 1000 bytes/],
  );
  t.match(
    leaks(
      rests(20, (index) => ({ rssBytes: index * 2_000_000 })),
      0,
    ),
    [/resident .* 2000 bytes/],
  );
});

t.test("sockets, timers and descriptors that stay", async (t) => {
  const found = leaks(
    rests(7, (index) => ({ sockets: index, timers: index, descriptors: 25 + index })),
    0,
  );
  t.match(found, [/2 sockets more/, /2 timers more/, /2 descriptors more/]);
});

t.test("a peak beyond the limits", async (t) => {
  t.match(leaks(rests(7), 700 * MIB), [/rose to 700 MiB/]);
});

t.test("one odd rest does not move the slope; too few rests have none", async (t) => {
  t.equal(
    slope(
      rests(9, (index) => (index === 8 ? { heapBytes: 100 * MIB } : {})),
      "heapBytes",
    ),
    0,
  );
  t.throws(() => leaks(rests(3), 0), { name: "RangeError" });
});
