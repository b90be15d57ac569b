import { setTimeout as sleep } from "node:timers/promises";
import t from "tap";
import { AgentError } from "../../errors.ts";
import { Journal } from "../../journal/journal.ts";
import { Runner, type RunnerOptions } from "../../lifecycle/runner.ts";
import { stageNames, type WorkingStage } from "../../lifecycle/stages.ts";
import type { Work, WorkContext } from "../../lifecycle/works/context.ts";

const key = { service: "kv", version: 2, source: "10.77.0.1", learnedBy: "mark" } as const;

/** A runner over a journal in memory whose works are given; all others end at once. */
function runnerWith(journal: Journal, given: Partial<Record<WorkingStage, Work>>, cleanUp = async () => {}) {
  const nothing: Work = async () => {};
  const every = Object.fromEntries(stageNames.map((stage) => [stage, nothing]));
  const options: RunnerOptions = {
    context: { journal, note: () => {} } as unknown as WorkContext,
    works: { ...every, ...given } as Record<WorkingStage, Work>,
    cleanUp,
    now: Date.now,
    onChange: () => {},
  };
  return new Runner(options);
}

async function until(condition: () => boolean): Promise<void> {
  for (let waited = 0; waited < 10_000 && !condition(); waited += 5) await sleep(5);
}

t.test("a version goes through all stages, and the journal has each", async (t) => {
  const journal = new Journal(":memory:");
  const runner = runnerWith(journal, {});
  runner.start();
  runner.begin(key, "discovered");
  await until(() => journal.upgrade("kv", 2)?.stage === "running");
  const history = journal.history("kv", 2).map((entry) => entry.stage);
  t.same(history, stageNames.slice(0, stageNames.indexOf("running") + 1));
  await runner.stop();
});

t.test("work that was cut off is done again by the next agent, in the same stage", async (t) => {
  const journal = new Journal(":memory:");
  const hang: Work = (_context, _upgrade, signal) =>
    new Promise((_resolve, reject) => {
      signal.addEventListener("abort", () => reject(new Error("cut off")));
    });
  const first = runnerWith(journal, { copying: hang });
  first.start();
  first.begin(key, "discovered");
  await until(() => journal.upgrade("kv", 2)?.stage === "copying" && journal.upgrade("kv", 2)?.attempt === 1);
  await first.stop();
  t.equal(journal.upgrade("kv", 2)?.stage, "copying", "being stopped is not a failure");
  const second = runnerWith(journal, {});
  second.start();
  await until(() => journal.upgrade("kv", 2)?.stage === "running");
  t.equal(journal.upgrade("kv", 2)?.stage, "running");
  await second.stop();
});

t.test(
  "a failed version is cleaned up once its work has ended, and the clean-up is repeated until it succeeds",
  async (t) => {
    const journal = new Journal(":memory:");
    let cleaned = 0;
    const fail: Work = async () => {
      throw new AgentError("E_SIGNATURE", "altered");
    };
    const runner = runnerWith(journal, { downloading: fail }, async () => {
      cleaned += 1;
    });
    runner.start();
    runner.begin(key, "discovered");
    await until(() => journal.upgrade("kv", 2)?.cleaned === true);
    const failed = journal.upgrade("kv", 2);
    t.match(failed, { stage: "failed", cleaned: true, fault: { code: "E_SIGNATURE" } });
    t.equal(cleaned, 1);
    await runner.stop();
  },
);

t.test("hearsay that fails leaves no row behind", async (t) => {
  const journal = new Journal(":memory:");
  const fail: Work = async () => {
    throw new AgentError("E_SIGNATURE", "a stranger's");
  };
  const runner = runnerWith(journal, { discovered: fail });
  runner.start();
  runner.begin(key, "discovered");
  await until(() => journal.upgrades().length === 0);
  t.same(journal.upgrades(), []);
  t.same(journal.history("kv", 2), []);
  await runner.stop();
});

t.test("an unknown version is refused with a code", async (t) => {
  const runner = runnerWith(new Journal(":memory:"), {});
  t.throws(() => runner.send({ service: "kv", version: 7 }, { type: "retire" }), { code: "E_NO_VERSION" });
});
