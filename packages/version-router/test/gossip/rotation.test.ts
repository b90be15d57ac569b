import * as fc from "fast-check";
import t from "tap";
import type { AdvertisedStatus, Advertisement } from "../../control/contract.ts";
import { cycleLength, nextAdvertisement, sameAdvertisement, startRotation } from "../../gossip/rotation.ts";

const status = fc.constantFrom<AdvertisedStatus>("running", "available", "retired", "aborted");
const advertisements = fc.uniqueArray(fc.record({ version: fc.integer({ min: 1, max: 1000 }), status }), {
  minLength: 1,
  maxLength: 16,
  selector: (advertisement) => advertisement.version,
});

t.test("every advertisement comes in every cycle, wherever the cycle begins", async () => {
  fc.assert(
    fc.property(advertisements, fc.nat({ max: 100 }), (list, skipped) => {
      const rotation = startRotation(list, [], 0);
      for (let turn = 0; turn < skipped; turn += 1) nextAdvertisement(rotation);
      const cycle = Array.from({ length: cycleLength(rotation) }, () => nextAdvertisement(rotation));
      return list.every((wanted) => cycle.some((given) => sameAdvertisement(wanted, given)));
    }),
  );
});

t.test("the newest news comes first, and more often than anything else", async (t) => {
  const old: Advertisement[] = [
    { version: 9, status: "running" },
    { version: 8, status: "retired" },
  ];
  const news: Advertisement = { version: 3, status: "available" };
  const rotation = startRotation([...old, news], startRotation(old, [], 0), 1000);
  t.same(nextAdvertisement(rotation), news);
  const turns = Array.from({ length: 900 }, () => nextAdvertisement(rotation));
  const count = (version: number) => turns.filter((turn) => turn?.version === version).length;
  t.equal(count(3), 400);
  t.ok(count(9) >= 200 && count(8) >= 200);
});

t.test("a change of status is news; what stays keeps its age", async (t) => {
  const before = startRotation(
    [
      { version: 1, status: "running" },
      { version: 2, status: "available" },
    ],
    [],
    5,
  );
  const after = startRotation(
    [
      { version: 1, status: "running" },
      { version: 2, status: "running" },
    ],
    before,
    50,
  );
  t.match(after, [
    { advertisement: { version: 2 }, newsAtMs: 50 },
    { advertisement: { version: 1 }, newsAtMs: 5 },
  ]);
});

t.test("nothing to advertise", async (t) => t.equal(nextAdvertisement([]), undefined));
