import t from "tap";
import { isDue, isNews, unverifiedMax } from "../../lifecycle/discovery.ts";
import { newUpgrade, type Upgrade } from "../../lifecycle/machine.ts";
import type { Stage } from "../../lifecycle/stages.ts";

function known(version: number, stage: Stage): Upgrade {
  return newUpgrade({ service: "kv", version, source: "local", learnedBy: "seed" }, stage, 0);
}

const hint = (version: number, source = "10.77.0.9", service = "kv") => ({ service, version, source });

t.test("only a version above every verified one is news", async (t) => {
  t.equal(isNews([], hint(1)), true);
  t.equal(isNews([known(1, "running")], hint(2)), true);
  t.equal(isNews([known(2, "retired")], hint(1)), false);
  t.equal(isNews([known(2, "failed")], hint(2)), false);
  t.equal(isNews([known(9, "running")], hint(1, "10.77.0.9", "other")), true);
});

t.test("a stranger who names the highest number does not shut out the versions below it", async (t) => {
  const bogus = { ...known(0x0fff_ffff, "discovered"), source: "10.66.6.6" };
  t.equal(isNews([known(1, "running"), bogus], hint(2)), true);
  t.equal(isNews([known(1, "running"), bogus], hint(3, "10.66.6.6")), false, "one at a time from one source");
});

t.test("many strangers begin only a few fetches", async (t) => {
  const many = Array.from({ length: unverifiedMax }, (_, index) => ({
    ...known(100 + index, "discovered"),
    source: `10.66.0.${index}`,
  }));
  t.equal(isNews(many, hint(2)), false);
});

t.test("verified versions pile up only so far", async (t) => {
  const open = [1, 2, 3, 4].map((version) => known(version, "scheduled"));
  t.equal(isNews(open, hint(5)), false);
});

t.test("the exchange waits for marks where marks can come", async (t) => {
  const hearsay = { service: "kv", version: 2, source: "10.77.0.1", learnedBy: "exchange" } as const;
  t.equal(isDue([known(1, "running")], hearsay, 29_999, 30_000), false);
  t.equal(isDue([known(1, "running")], hearsay, 30_000, 30_000), true);
  t.equal(isDue([], hearsay, 0, 30_000), true);
  t.equal(isDue([known(1, "running")], { ...hearsay, learnedBy: "mark" }, 0, 30_000), true);
});
