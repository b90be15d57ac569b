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
    journal.addOutput("kv", 2, { atMs: index, source: "agent", text: "x".repeat(20_000) });
  }
  const outputs = journal.outputs("kv", 2);
  t.equal(outputs.length, 500);
  t.equal(outputs[0]?.atMs, 100);
  t.equal(outputs[0]?.text.length, 16_384);
  journal.close();
});
