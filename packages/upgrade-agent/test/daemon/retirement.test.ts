import t from "tap";
import { Retirements } from "../../daemon/retirement.ts";
import { mergeDigests, type NodeDigest } from "../../fleet/view.ts";
import { Journal } from "../../journal/journal.ts";
import { newUpgrade } from "../../lifecycle/machine.ts";
import type { Stage } from "../../lifecycle/stages.ts";
import type { Envelope } from "../../release/contract.ts";
import type { Verifier } from "../../trust/index.ts";

const envelope: Envelope = { signed: { kind: "retire", service: "kv", version: 1 }, signatures: [] };

function setUp(stages: Readonly<Record<number, Stage>>, others: readonly NodeDigest[] = []) {
  const journal = new Journal(":memory:");
  for (const [version, stage] of Object.entries(stages)) {
    const key = { service: "kv", version: Number(version), source: "local", learnedBy: "seed" } as const;
    journal.save(newUpgrade(key, stage, 0));
  }
  const retired: number[] = [];
  const fetched: string[] = [];
  const retirements = new Retirements({
    journal,
    verifier: { verify: (signed: Envelope) => signed.signed } as unknown as Verifier,
    peers: {
      release: () => Promise.reject(new Error("not asked for")),
      retirement: async (address) => {
        fetched.push(address);
        return envelope;
      },
    },
    view: () => mergeDigests(new Map(), others, 0),
    retire: (_service, version) => retired.push(version),
  });
  return { journal, retirements, retired, fetched };
}

function other(stage: Stage): NodeDigest {
  const version = { service: "kv", version: 2, stage, enteredAtMs: 0, history: [] };
  return { node: "n2", address: "10.77.0.2", revision: 1, versions: [version] };
}

t.test("the last version is never retired", async (t) => {
  const { retirements } = setUp({ 1: "running" });
  t.throws(() => retirements.accept(envelope, true), { code: "E_RETIRE_TOO_EARLY" });
});

t.test("a node that does not run the newer version holds it up, unless forced", async (t) => {
  const { retirements, retired } = setUp({ 1: "running", 2: "running" }, [other("migrating")]);
  t.throws(() => retirements.accept(envelope, false), { code: "E_RETIRE_TOO_EARLY" });
  t.same(retired, []);
  retirements.accept(envelope, true);
  t.same(retired, [1]);
});

t.test("hearsay is fetched, verified and kept until the newer version runs here", async (t) => {
  const { retirements, retired, fetched, journal } = setUp({ 1: "running", 2: "copying" });
  await retirements.learn("kv", 1, "10.77.0.2", 1_000);
  t.same(retired, []);
  const row = journal.upgrade("kv", 2);
  t.ok(row);
  if (row !== undefined) journal.save({ ...row, stage: "running", enteredAtMs: 2 });
  retirements.apply();
  t.same(retired, [1]);
  await retirements.learn("kv", 1, "10.77.0.2", 2_000);
  t.same(fetched, ["10.77.0.2"], "what is known is not fetched again");
});

t.test("a source that says so again and again is asked once in ten seconds", async (t) => {
  const { retirements, fetched } = setUp({ 1: "retired", 2: "running" });
  await retirements.learn("kv", 1, "10.77.0.2", 1_000);
  await retirements.learn("kv", 9, "10.77.0.2", 1_000);
  t.same(fetched, [], "neither what is over nor what is unknown is worth a request");
});
