import t from "tap";
import { VersionSet } from "../../versions/version-set.ts";

t.test("sorted, with ends, both ways", async (t) => {
  const versions = new VersionSet([3, 1, 2, 3]);
  t.same([...versions], [1, 2, 3]);
  t.same([...versions.descending()], [3, 2, 1]);
  t.same([versions.min, versions.max, versions.size], [1, 3, 3]);
  t.ok(versions.has(2));
  t.notOk(versions.has(4));
});

t.test("empty", async (t) => {
  const versions = new VersionSet();
  t.same([versions.min, versions.max, versions.size, [...versions]], [undefined, undefined, 0, []]);
});

t.test("changes live; an iteration under way and a snapshot see one state", async (t) => {
  const versions = new VersionSet([1, 2]);
  const iteration = versions.ascending();
  const snapshot = versions.snapshot();
  iteration.next();
  t.same(versions.replace([2, 3]), { added: [3], removed: [1] });
  t.same([...iteration], [2]);
  t.same([...snapshot], [1, 2]);
  t.same([...versions], [2, 3]);
  t.same(versions.replace([3, 2]), { added: [], removed: [] });
});

t.test("what another set lacks is taken out", async (t) => {
  const versions = new VersionSet([1, 2, 3]);
  const snapshot = versions.snapshot();
  versions.keepOnly(new VersionSet([2, 3, 4]));
  t.same([...versions], [2, 3]);
  versions.keepOnly(versions);
  t.same([...versions], [2, 3]);
  t.same([...snapshot], [1, 2, 3]);
});
