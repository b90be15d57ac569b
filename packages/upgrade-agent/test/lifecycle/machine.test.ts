import fc from "fast-check";
import t from "tap";
import { type LifecycleEvent, newUpgrade, started, step, type Upgrade } from "../../lifecycle/machine.ts";
import { ruleOf, stageNames, type Stage } from "../../lifecycle/stages.ts";

const key = { service: "kv", version: 2, source: "10.77.0.1", learnedBy: "mark" } as const;
const fault = { code: "E_FETCH", message: "no answer" };
const failed: LifecycleEvent = { type: "failed", fault, permanent: false };

function at(stage: Stage, now = 0): Upgrade {
  return newUpgrade(key, stage, now);
}

t.test("done leads through every stage to running, and starts the work of each", async (t) => {
  let upgrade = at("discovered");
  const seen: Stage[] = [];
  while (upgrade.stage !== "running") {
    seen.push(upgrade.stage);
    const { upgrade: next, effects } = step(started(upgrade), { type: "done" }, 10);
    const expected = next.stage === "running" ? [] : [{ type: "work", stage: next.stage }];
    t.same(effects, expected);
    t.equal(next.attempt, 0);
    upgrade = next;
  }
  t.same(seen, stageNames.slice(0, stageNames.indexOf("running")));
});

t.test("a fault is tried again after a pause that doubles, up to the attempts of the stage", async (t) => {
  let upgrade = started(at("downloading"));
  const first = step(upgrade, failed, 1_000);
  t.equal(first.upgrade.retryAtMs, 2_000);
  t.same(step(first.upgrade, { type: "tick" }, 1_999).effects, []);
  t.same(step(first.upgrade, { type: "tick" }, 2_000).effects, [{ type: "work", stage: "downloading" }]);
  upgrade = started(first.upgrade);
  t.equal(step(upgrade, failed, 5_000).upgrade.retryAtMs, 7_000);
  const attemptsMax = ruleOf("downloading")?.attemptsMax ?? 0;
  while (upgrade.attempt < attemptsMax) upgrade = started(upgrade);
  const last = step(upgrade, failed, 9_000);
  t.equal(last.upgrade.stage, "failed");
  t.same(last.upgrade.fault, fault);
  t.same(last.effects, [{ type: "cancel" }, { type: "clean-up" }]);
});

t.test("a permanent fault ends at once", async (t) => {
  const { upgrade } = step(started(at("downloading")), { ...failed, permanent: true }, 5);
  t.equal(upgrade.stage, "failed");
});

t.test("hearsay that does not prove true is forgotten; what was seeded here is kept as failed", async (t) => {
  const heard = step(started(at("discovered")), { ...failed, permanent: true }, 5);
  t.same(heard.effects, [{ type: "cancel" }, { type: "forget" }]);
  const seeded = newUpgrade({ ...key, learnedBy: "seed", source: "local" }, "discovered", 0);
  t.equal(step(started(seeded), { ...failed, permanent: true }, 5).upgrade.stage, "failed");
});

t.test("a deadline ends a stage whose work hangs, and names the last fault", async (t) => {
  const hanging = { ...started(at("booting")), fault };
  const { upgrade, effects } = step(hanging, { type: "tick" }, 1 + (ruleOf("booting")?.deadlineMs ?? 0));
  t.equal(upgrade.fault?.code, "E_DEADLINE");
  t.match(upgrade.fault?.message, /no answer/);
  t.same(effects, [{ type: "cancel" }, { type: "clean-up" }]);
});

t.test("clean-up is asked for until it was done, also after a restart", async (t) => {
  const { upgrade } = step(started(at("copying")), { ...failed, permanent: true }, 5);
  t.same(step(upgrade, { type: "tick" }, 6).effects, [{ type: "clean-up" }]);
  const cleaned = step(upgrade, { type: "cleaned" }, 7).upgrade;
  t.same(step(cleaned, { type: "tick" }, 8).effects, []);
});

t.test("only a running version retires, and retirement is never given up", async (t) => {
  t.equal(step(at("migrating"), { type: "retire" }, 1).upgrade.stage, "migrating");
  let { upgrade } = step(at("running"), { type: "retire" }, 1);
  t.equal(upgrade.stage, "draining");
  for (let index = 0; index < 50; index += 1) upgrade = step(started(upgrade), failed, index).upgrade;
  t.equal(upgrade.stage, "draining");
});

t.test("a lost domain is made anew from where the release is already here", async (t) => {
  for (const stage of ["booting", "starting", "migrating", "running"] as const) {
    const { upgrade, effects } = step(at(stage), { type: "domain-lost" }, 3);
    t.equal(upgrade.stage, "creating-domain");
    t.same(effects, [{ type: "cancel" }, { type: "work", stage: "creating-domain" }]);
  }
  for (const stage of ["downloading", "draining", "retired", "failed"] as const) {
    t.equal(step(at(stage), { type: "domain-lost" }, 3).upgrade.stage, stage);
  }
});

t.test("a failed version starts again only after its remains are gone", async (t) => {
  const broken = at("failed");
  t.equal(step(broken, { type: "retry" }, 1).upgrade.stage, "failed");
  const { upgrade } = step({ ...broken, cleaned: true }, { type: "retry" }, 1);
  t.equal(upgrade.stage, "discovered");
  t.equal(upgrade.cleaned, false);
});

t.test("any sequence of events keeps to the table", async () => {
  const event = fc.oneof(
    fc.constantFrom<LifecycleEvent>(
      ...([{ type: "done" }, { type: "tick" }, { type: "domain-lost" }, { type: "retire" }] as const),
      ...([{ type: "retry" }, { type: "cleaned" }, failed, { ...failed, permanent: true }] as const),
    ),
  );
  fc.assert(
    fc.property(fc.array(event, { maxLength: 60 }), (events) => {
      let upgrade = at("discovered");
      for (const [now, next] of events.entries()) {
        const { upgrade: after, effects } = step(upgrade, next, now * 1_000);
        const work = effects.find((effect) => effect.type === "work");
        if (work !== undefined && work.stage !== after.stage) return false;
        const cleans = effects.some((effect) => effect.type === "clean-up");
        if (cleans && after.stage !== "failed" && after.stage !== "retired") return false;
        const legal = [upgrade.stage, ruleOf(upgrade.stage)?.next, "failed", "creating-domain"];
        if (upgrade.stage === "running") legal.push("draining");
        if (upgrade.stage === "failed") legal.push("discovered");
        if (!legal.includes(after.stage)) return false;
        upgrade = work === undefined ? after : started(after);
      }
      return true;
    }),
  );
});

t.test("a service that gives up before its version runs has it thrown away", async (t) => {
  const gaveUp: LifecycleEvent = {
    type: "service-failed",
    fault: { code: "E_SERVICE_FAILED", message: "it ended" },
  };
  for (const stage of ["starting", "healthy", "attached", "migrating", "caught-up"] as const) {
    const { upgrade, effects } = step(started(at(stage)), gaveUp, 5);
    t.match(upgrade, { stage: "failed", fault: gaveUp.fault }, stage);
    t.same(effects, [{ type: "cancel" }, { type: "clean-up" }], stage);
  }
  for (const stage of ["creating-domain", "draining", "retired", "failed"] as const)
    t.same(step(at(stage), gaveUp, 5), { upgrade: at(stage), effects: [] }, stage);
});

t.test("one that runs is kept with the fault, until its service was started again", async (t) => {
  const gaveUp: LifecycleEvent = {
    type: "service-failed",
    fault: { code: "E_SERVICE_FAILED", message: "it ended" },
  };
  const sick = step(at("running"), gaveUp, 5);
  t.same(sick, { upgrade: { ...at("running"), fault: gaveUp.fault }, effects: [] });
  t.same(step(sick.upgrade, { type: "service-started" }, 6).upgrade, at("running"));
  const other = { ...at("downloading"), fault };
  t.same(step(other, { type: "service-started" }, 6).upgrade, other, "other faults are not its concern");
});
