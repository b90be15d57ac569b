/** When the supervisor starts a service again: its own decisions, asked of the program itself. */
import { execFileSync } from "node:child_process";
import fc from "fast-check";
import t from "tap";
import { supervisorProgram } from "../../service/program.ts";
import {
  restartPolicyOf,
  stopTimeoutOf,
  supervisorOptions,
  type RestartPolicy,
} from "../../service/policy.ts";

interface End {
  readonly atMs: number;
  readonly status: number;
}

/** `restart N`, `failed` or `ended`, one for each end. */
function decide(policy: RestartPolicy, ends: readonly End[]): string[] {
  const hooks = { start: hook("x"), health: hook("x") };
  const words = ["decide", ...supervisorOptions({ restart: policy, hooks }, "/")];
  const input = ends.map(({ atMs, status }) => `${atMs} ${status}\n`).join("");
  return execFileSync("busybox", ["sh", supervisorProgram, ...words], { input, encoding: "utf8" })
    .split("\n")
    .slice(0, -1);
}

function hook(command: string, timeoutMs = 60_000) {
  return { command, timeoutMs };
}

const policies: fc.Arbitrary<RestartPolicy> = fc
  .record({
    policy: fc.constantFrom("no", "on-failure", "always"),
    delayMs: fc.integer({ min: 10, max: 600_000 }),
    moreMs: fc.integer({ min: 0, max: 3_000_000 }),
    windowMs: fc.integer({ min: 1_000, max: 86_400_000 }),
    restartsMax: fc.integer({ min: 0, max: 100 }),
  })
  .map(({ moreMs, ...rest }) => ({ ...rest, delayMaxMs: rest.delayMs + moreMs }));

const lives: fc.Arbitrary<readonly End[]> = fc
  .array(fc.record({ pauseMs: fc.nat(400_000), status: fc.constantFrom(0, 0, 1, 137) }), { maxLength: 150 })
  .map((steps) => {
    let atMs = 0;
    return steps.map(({ pauseMs, status }) => ({ atMs: (atMs += pauseMs), status }));
  });

t.test("a pause doubles with every restart that still counts, and never passes its bound", async (t) => {
  fc.assert(
    fc.property(policies, lives, (policy, ends) => {
      const restarts: number[] = [];
      const expected = ends.map(({ atMs, status }) => {
        if (status === 0 && policy.policy !== "always") return "ended";
        if (policy.policy === "no") return "failed";
        const counting = restarts.filter((time) => atMs - time < policy.windowMs).length;
        if (counting >= policy.restartsMax) return "failed";
        restarts.push(atMs);
        return `restart ${Math.min(policy.delayMaxMs, policy.delayMs * 2 ** counting)}`;
      });
      t.same(decide(policy, ends), expected);
    }),
  );
});

t.test("no window ever holds more restarts than the policy allows", async (t) => {
  fc.assert(
    fc.property(policies, lives, (policy, ends) => {
      const said = decide(policy, ends);
      const times = ends.filter((_, index) => said[index]?.startsWith("restart")).map(({ atMs }) => atMs);
      const most = Math.max(
        0,
        ...times.map((to) => times.filter((at) => at <= to && to - at < policy.windowMs).length),
      );
      t.ok(most <= policy.restartsMax, `${most} of ${policy.restartsMax}`);
    }),
  );
});

t.test("with nothing said, a service that ends at once has failed after half a minute", async (t) => {
  const policy = restartPolicyOf({});
  let atMs = 0;
  const ends = [0, 1_000, 2_000, 4_000, 8_000, 16_000].map((pauseMs) => ({
    atMs: (atMs += pauseMs),
    status: 1,
  }));
  const said = decide(policy, ends);
  t.same(said, ["restart 1000", "restart 2000", "restart 4000", "restart 8000", "restart 16000", "failed"]);
  t.same(decide(policy, [{ atMs: 0, status: 0 }]), ["ended"]);
  const quiet = ends.map((_, index) => ({ atMs: index * policy.windowMs, status: 1 }));
  t.same(new Set(decide(policy, quiet)), new Set(["restart 1000"]), "after a quiet window it begins anew");
});

t.test("a part of the policy is enough, and pauses never shrink", async (t) => {
  t.match(restartPolicyOf({ restart: { policy: "always" } }), { policy: "always", restartsMax: 5 });
  t.match(restartPolicyOf({ restart: { delayMs: 60_000 } }), { delayMs: 60_000, delayMaxMs: 60_000 });
});

t.test("a service has the time to stop that its release says, or gave its stop hook", async (t) => {
  const hooks = { start: hook("x"), health: hook("x") };
  t.equal(stopTimeoutOf({ hooks }), 10_000);
  t.equal(stopTimeoutOf({ hooks: { ...hooks, stop: hook("x", 30_000) } }), 30_000);
  t.equal(stopTimeoutOf({ hooks: { ...hooks, stop: hook("x", 30_000) }, stopTimeoutMs: 2_000 }), 2_000);
  t.equal(
    stopTimeoutOf({ hooks: { ...hooks, stop: hook("x", 86_400_000) } }),
    600_000,
    "at most ten minutes",
  );
});
