/** The policy as the pure function that it is; whole histories are checked in examples/test/registers. */
import t from "tap";
import type { Outcome, Step } from "../../policy/contract.ts";
import { oldestDecides } from "../../policy/oldest-decides.ts";
import { VersionSet } from "../../versions/version-set.ts";

interface Request {
  readonly text: string;
}

/** A reply, "pending" or "broken". */
type Fate = string;

const decides = () =>
  oldestDecides<Request, string>({
    ask: ({ text }, version) => ({ text: `ask ${text} of ${version}` }),
    copy: (reply, _request, version) =>
      reply.startsWith("error") ? undefined : { text: `copy ${reply} to ${version}` },
    isCopied: (reply) => reply === "copied",
    answer: (reply) => `answer: ${reply}`,
  });

function outcomes(fates: Readonly<Record<number, Fate>>): Map<number, Outcome<string>> {
  const result = new Map<number, Outcome<string>>();
  for (const [version, fate] of Object.entries(fates)) {
    if (fate === "pending") result.set(Number(version), { kind: "pending" });
    else if (fate === "broken")
      result.set(Number(version), { kind: "failed", failure: "broken", detail: "lost" });
    else result.set(Number(version), { kind: "replied", reply: fate });
  }
  return result;
}

function scene(request: Request = { text: "set" }) {
  const { reads, writes, transformRequest } = decides();
  t.equal(reads, writes, "a reader is told nothing that could be lost either");
  const step = (versions: readonly number[], fates: Readonly<Record<number, Fate>>): Step<string> =>
    writes({ request, versions: new VersionSet(versions), outcomes: outcomes(fates) });
  const sent = (version: number): string => transformRequest(request, version).text;
  return { step, sent };
}

t.test("the oldest is asked first, the others get what it says, then the client is answered", async (t) => {
  const { step, sent } = scene();
  t.same(step([1, 2, 3], {}), { kind: "send", versions: [1] });
  t.equal(sent(1), "ask set of 1");
  t.same(step([1, 2, 3], { 1: "pending" }), { kind: "wait" });
  t.same(step([1, 2, 3], { 1: "x" }), { kind: "send", versions: [2, 3] });
  t.equal(sent(2), "copy x to 2");
  t.equal(sent(3), "copy x to 3");
  t.same(step([1, 2, 3], { 1: "x", 2: "copied", 3: "pending" }), { kind: "wait" });
  t.same(step([1, 2, 3], { 1: "x", 2: "copied", 3: "copied" }), { kind: "answer", reply: "answer: x" });
});

t.test("one version alone is asked, nothing is copied", async (t) => {
  const { step, sent } = scene();
  t.same(step([2], {}), { kind: "send", versions: [2] });
  t.equal(sent(2), "ask set of 2");
  t.same(step([2], { 2: "x" }), { kind: "answer", reply: "answer: x" });
});

t.test("a decision without a state is answered at once", async (t) => {
  const { step } = scene();
  t.same(step([1, 2], { 1: "error" }), { kind: "answer", reply: "answer: error" });
});

t.test("the oldest version is retired before its reply: the next one is asked", async (t) => {
  const { step, sent } = scene();
  step([1, 2], {});
  t.same(step([2], {}), { kind: "send", versions: [2] });
  t.equal(sent(2), "ask set of 2");
});

t.test("the oldest version is retired after its reply: what it said goes on", async (t) => {
  const { step, sent } = scene();
  t.same(step([1, 2], { 1: "x" }), { kind: "send", versions: [2] });
  t.same(step([2], { 2: "pending" }), { kind: "wait" });
  t.equal(sent(2), "copy x to 2");
  t.same(step([2], { 2: "copied" }), { kind: "answer", reply: "answer: x" });
});

t.test("what a version may not have is not said", async (t) => {
  t.match(scene().step([1, 2], { 1: "broken" }), { kind: "fail", failure: "broken" });
  t.match(scene().step([1, 2], { 1: "x", 2: "broken" }), { kind: "fail", failure: "broken" });
  t.match(scene().step([1, 2], { 1: "x", 2: "refused" }), { kind: "fail", failure: "broken" });
  t.match(scene().step([], {}), { kind: "fail", failure: "unavailable" });
});
