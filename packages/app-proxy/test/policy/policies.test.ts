/** The policies as the pure functions that they are. */
import t from "tap";
import type { Outcome, Policy, Step } from "../../policy/contract.ts";
import { readAllChoose } from "../../policy/read-all-choose.ts";
import { readNewestThenOlder } from "../../policy/read-newest-then-older.ts";
import { writeAll } from "../../policy/write-all.ts";
import { VersionSet } from "../../versions/version-set.ts";

type Fate = number | "pending" | "broken" | "late" | "unavailable";

/** Replies are numbers; below 400 is success. */
function ask(
  policy: Policy<string, number>,
  versions: readonly number[],
  fates: Record<number, Fate>,
): Step<number> {
  const outcomes = new Map<number, Outcome<number>>();
  for (const [version, fate] of Object.entries(fates)) {
    if (typeof fate === "number") outcomes.set(Number(version), { kind: "replied", reply: fate });
    else if (fate === "pending") outcomes.set(Number(version), { kind: "pending" });
    else outcomes.set(Number(version), { kind: "failed", failure: fate, detail: `version ${version}` });
  }
  return policy({ request: "request", versions: new VersionSet(versions), outcomes });
}

const isSuccess = (reply: number): boolean => reply < 400;

t.test("writeAll", async (t) => {
  const policy = writeAll<string, number>({ isSuccess });
  t.same(ask(policy, [1, 2, 3], {}), { kind: "send", versions: [1, 2, 3] });
  t.same(ask(policy, [1, 2], { 1: 200, 2: "pending" }), { kind: "wait" });
  t.same(ask(policy, [1, 2], { 1: 200, 2: 201 }), { kind: "answer", reply: 201 }, "the newest's reply");
  t.same(ask(policy, [1, 2], { 1: 409, 2: 200 }), { kind: "answer", reply: 409 }, "one refuses");
  t.same(ask(policy, [1, 2], { 1: 409, 2: 400 }), { kind: "answer", reply: 400 }, "both refuse");
  t.same(
    ask(policy, [1, 2], { 1: 500, 2: "pending" }),
    { kind: "wait" },
    "the order of writes needs every end",
  );
  t.match(ask(policy, [1, 2], { 1: 409, 2: "broken" }), { kind: "answer", reply: 409 });
  t.match(ask(policy, [1, 2], { 1: 200, 2: "broken" }), { kind: "fail", failure: "broken" });
  t.match(ask(policy, [1, 2], { 1: "broken", 2: "unavailable" }), { kind: "fail", failure: "broken" });
  t.match(ask(policy, [1, 2], { 1: "broken", 2: "late" }), { kind: "fail", failure: "late" });
  t.match(ask(policy, [], {}), { kind: "fail", failure: "unavailable" });
});

t.test("readNewestThenOlder", async (t) => {
  const policy = readNewestThenOlder<string, number>({ isSuccess });
  t.same(ask(policy, [1, 2], {}), { kind: "send", versions: [2] });
  t.same(ask(policy, [1, 2], { 2: "pending" }), { kind: "wait" });
  t.same(ask(policy, [1, 2], { 2: 200 }), { kind: "answer", reply: 200 });
  t.same(ask(policy, [1, 2], { 2: 404 }), { kind: "send", versions: [1] });
  t.same(ask(policy, [1, 2], { 2: "unavailable" }), { kind: "send", versions: [1] });
  t.same(ask(policy, [1, 2], { 2: 404, 1: 200 }), { kind: "answer", reply: 200 });
  t.same(ask(policy, [1, 2], { 2: 404, 1: 410 }), { kind: "answer", reply: 404 }, "the newest's no");
  t.same(ask(policy, [1, 2], { 2: "broken", 1: 404 }), { kind: "answer", reply: 404 });
  t.match(ask(policy, [1, 2], { 2: "unavailable", 1: "late" }), { kind: "fail", failure: "late" });
  t.match(ask(policy, [], {}), { kind: "fail", failure: "unavailable" });
});

t.test("readAllChoose", async (t) => {
  const policy = readAllChoose<string, number>({
    choose: (replies) => Math.max(...replies.map(({ version, reply }) => version * 1000 + reply)),
  });
  t.same(ask(policy, [1, 2], {}), { kind: "send", versions: [1, 2] });
  t.same(ask(policy, [1, 2], { 1: 5, 2: "pending" }), { kind: "wait" });
  t.same(ask(policy, [1, 2], { 1: 5, 2: 4 }), { kind: "answer", reply: 2004 });
  t.same(ask(policy, [1, 2], { 1: 5, 2: "broken" }), { kind: "answer", reply: 1005 });
  t.match(ask(policy, [1, 2], { 1: "unavailable", 2: "broken" }), { kind: "fail", failure: "broken" });
  t.match(ask(policy, [], {}), { kind: "fail", failure: "unavailable" });
});

t.test("the first success, the longest success", async (t) => {
  const first = readAllChoose<string, number>({ choose: "first", isSuccess });
  t.same(ask(first, [1, 2], { 1: 5, 2: "pending" }), { kind: "answer", reply: 5 });
  t.same(ask(first, [1, 2], { 1: 404, 2: "pending" }), { kind: "wait" });
  t.same(ask(first, [1, 2], { 1: 404, 2: 410 }), { kind: "answer", reply: 410 });
  t.same(ask(first, [1, 2], { 1: 404, 2: "broken" }), { kind: "answer", reply: 404 });
  t.match(ask(first, [1, 2], { 1: "late", 2: "broken" }), { kind: "fail", failure: "late" });
  const longest = readAllChoose<string, number>({ choose: "longest", isSuccess, lengthOf: (reply) => reply });
  t.same(ask(longest, [1, 2], { 1: 5, 2: "pending" }), { kind: "wait" });
  t.same(ask(longest, [1, 2], { 1: 5, 2: 4 }), { kind: "answer", reply: 5 });
  t.same(ask(longest, [1, 2], { 1: 500, 2: 4 }), { kind: "answer", reply: 4 });
  t.same(ask(longest, [1, 2], { 1: 500, 2: 404 }), { kind: "answer", reply: 404 });
});
