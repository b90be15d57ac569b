import fc from "fast-check";
import t from "tap";
import { chooseSeed } from "../seed.ts";

t.test("a seed is what was asked for, or the commit's", (t) => {
  t.equal(chooseSeed("0"), 0);
  t.equal(chooseSeed("2147483647"), 2_147_483_647);
  for (const wrong of ["", "-1", "2147483648", "1e3", "x"]) t.equal(chooseSeed(wrong), undefined, wrong);
  t.equal(chooseSeed(undefined), chooseSeed(undefined), "two runs of one commit try the same cases");
  t.not(chooseSeed("random"), chooseSeed("random"));
  t.end();
});

const seed = process.env["PROPERTY_SEED"];
const skip = seed === undefined && "only scripts/test chooses a seed";

t.test("properties draw from the seed of this run", { skip }, (t) => {
  t.equal(fc.readConfigureGlobal().seed, Number(seed));
  const draw = (): readonly number[] => fc.sample(fc.nat(), 5);
  t.same(draw(), draw());
  t.end();
});
