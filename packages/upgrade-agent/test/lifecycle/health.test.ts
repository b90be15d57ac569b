import t from "tap";
import type { HealthAnswer } from "../../lifecycle/works/health.ts";
import { untilHealthy } from "../../lifecycle/works/health.ts";

const rule = { intervalMs: 1_000, successes: 2, deadlineMs: 60_000 };
const yes: HealthAnswer = { healthy: true, said: "", spentMs: 0 };
const no: HealthAnswer = { healthy: false, said: "refused", spentMs: 0 };
const late: HealthAnswer = { healthy: false, said: "did not end within 10 s", spentMs: 10_000 };

/** Gives the answers one after the other, the last one for ever, and counts. */
function checks(...answers: readonly HealthAnswer[]) {
  const state = { asked: 0 };
  const check = (): Promise<HealthAnswer> => {
    const answer = answers[Math.min(state.asked, answers.length - 1)] ?? no;
    state.asked += 1;
    return Promise.resolve(answer);
  };
  return { check, state };
}

const sleep = (): Promise<void> => Promise.resolve();

t.test("as many successes as the rule wants, in a row", async (t) => {
  const { check, state } = checks(no, yes, no, yes, yes);
  t.equal(await untilHealthy(rule, check, sleep), undefined);
  t.equal(state.asked, 5);
});

t.test("a check that runs out of its own time says no, and another one follows", async (t) => {
  const { check } = checks(late, late, yes, yes);
  t.equal(await untilHealthy(rule, check, sleep), undefined);
});

t.test("the deadline holds, and counts what late checks took", async (t) => {
  const never = checks(no);
  t.equal(await untilHealthy(rule, never.check, sleep), "refused");
  t.equal(never.state.asked, 60);
  const hung = checks(late);
  t.equal(await untilHealthy(rule, hung.check, sleep), "did not end within 10 s");
  t.equal(hung.state.asked, 6);
});
