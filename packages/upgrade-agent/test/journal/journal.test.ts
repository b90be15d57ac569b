import { statSync } from "node:fs";
import { join } from "node:path";
import t from "tap";
import { Journal } from "../../journal/journal.ts";
import { newUpgrade } from "../../lifecycle/machine.ts";

const upgrade = newUpgrade(
  { service: "kv", version: 2, source: "10.77.0.1", learnedBy: "mark" },
  "discovered",
  5,
);

t.test("states, their history, keys and retirements survive a restart", async (t) => {
  const file = join(t.testdir(), "journal.db");
  const journal = new Journal(file);
  journal.save(upgrade);
  journal.save({ ...upgrade, attempt: 1 });
  const fault = { code: "E_FETCH", message: "no answer" };
  journal.save({ ...upgrade, stage: "failed", enteredAtMs: 9, fault });
  const key = journal.domainKey("kv", 2, () => ({ privateKey: "secret", publicKey: "public" }));
  const envelope = { signed: { kind: "retire", service: "kv", version: 1 }, signatures: [] } as const;
  journal.saveRetirement("kv", 1, envelope);
  journal.close();

  const again = new Journal(file);
  t.same(again.upgrades(), [{ ...upgrade, stage: "failed", enteredAtMs: 9, fault }]);
  t.same(again.history("kv", 2), [
    { stage: "discovered", enteredAtMs: 5 },
    { stage: "failed", enteredAtMs: 9 },
  ]);
  const other = () => ({ privateKey: "x", publicKey: "y" });
  t.same(again.domainKey("kv", 2, other), key);
  t.same(again.retirement("kv", 1), envelope);
  again.close();
});

t.test("only its owner reads the file, for it holds the keys of domains", async (t) => {
  const file = join(t.testdir(), "journal.db");
  new Journal(file).close();
  t.equal(statSync(file).mode & 0o777, 0o600);
});

t.test("output is bounded in entries and in length", async (t) => {
  const journal = new Journal(":memory:");
  for (let index = 0; index < 600; index += 1) {
    journal.said.add("kv", 2, { atMs: index, source: "agent", text: "x".repeat(20_000) });
  }
  const outputs = journal.said.lines("kv", 2);
  t.equal(outputs.length, 500);
  t.equal(outputs[0]?.atMs, 100);
  t.equal(outputs[0]?.text.length, 16_384);
  journal.close();
});

t.test("what a service says is bounded apart from what the agent says, and so is one answer", async (t) => {
  const journal = new Journal(":memory:");
  journal.said.add("kv", 2, { atMs: 1, source: "agent", text: "first" });
  for (let batch = 0; batch < 30; batch += 1) {
    const lines = Array.from({ length: 100 }, (_, index) => ({
      atMs: batch,
      source: "app",
      text: `${batch * 100 + index}`,
    }));
    journal.said.addServiceLines("kv", 2, lines, { lastNumber: (batch + 1) * 100 });
  }
  const outputs = journal.said.lines("kv", 2);
  t.equal(outputs.length, 2_001);
  t.equal(outputs[0]?.text, "first");
  t.equal(outputs[1]?.text, "1000", "the oldest ones are forgotten");
  const known = outputs.at(-3)?.id ?? 0;
  t.same(
    journal.said.lines("kv", 2, { after: known }).map(({ text }) => text),
    ["2998", "2999"],
  );
  const long = Array.from({ length: 600 }, () => ({ atMs: 9, source: "app", text: "x".repeat(16_384) }));
  journal.said.addServiceLines("kv", 2, long, { lastNumber: 9_000 });
  t.equal(journal.said.lines("kv", 2, { charactersMax: 65_536 }).length, 4, "the newest ones");
  journal.close();
});

t.test("what is known of a service survives a restart, and is forgotten with its disk", async (t) => {
  const file = join(t.testdir(), "journal.db");
  const journal = new Journal(file);
  t.same(journal.said.serviceEntry("kv", 2), { lastNumber: 0 });
  const state = { state: "restarting", sinceMs: 7, restarts: 3, lastExit: "ended with status 1" } as const;
  journal.said.addServiceLines("kv", 2, [], { lastNumber: 12, state });
  journal.close();
  const again = new Journal(file);
  t.same(again.said.serviceEntry("kv", 2), { lastNumber: 12, state });
  again.said.addServiceLines("kv", 2, [], { lastNumber: 13, state: undefined });
  t.same(again.said.serviceEntry("kv", 2), { lastNumber: 13 });
  again.said.forgetServiceEntry("kv", 2);
  t.same(again.said.serviceEntry("kv", 2), { lastNumber: 0 });
  again.close();
});
