/** Which spares are kept: cases by name, and what holds after any run of events. */
import * as fc from "fast-check";
import t from "tap";
import { estimateBytes, shapeKey, SparePolicy } from "../../../domain/spare/policy.ts";
import type { Shape } from "../../../domain/spare/policy.ts";

const MIB = 1024 ** 2;
const options = { budgetBytes: 300 * MIB, quietMs: 100, retryMs: 1000, retryMsMax: 4000, lapseMs: 100_000 };
const small: Shape = { memoryMiB: 128, vcpus: 1 };
const large: Shape = { memoryMiB: 256, vcpus: 2 };

void t.test("a wanted spare is made when it is quiet, and not twice", (t) => {
  const policy = new SparePolicy(options);
  t.same(policy.next(0), { type: "wait" });
  policy.started(0);
  policy.want(small, "a", 0);
  t.same(policy.next(50), { type: "wait", untilMs: 100 });
  t.same(policy.next(100), { type: "make", shape: small, name: "a" });
  policy.making("a");
  t.same(policy.next(101), { type: "wait" });
  policy.made("a", 90 * MIB);
  policy.want(small, "a", 102);
  t.same(policy.next(102), { type: "wait" });
  t.end();
});

void t.test("one that fails is tried again later and later", (t) => {
  const policy = new SparePolicy(options);
  policy.want(small, "a", 0);
  const pauses: number[] = [];
  for (let now = 0; pauses.length < 5;) {
    t.match(policy.next(now), { type: "make" });
    policy.making("a");
    policy.failed("a", now);
    const wait = policy.next(now);
    const untilMs = wait.type === "wait" ? (wait.untilMs ?? 0) : 0;
    pauses.push(untilMs - now);
    now = untilMs;
  }
  t.same(pauses, [1000, 2000, 4000, 4000, 4000]);
  policy.rename(small, "b");
  t.same(policy.next(0), { type: "make", shape: small, name: "b" }, "on another base it is tried at once");
  t.end();
});

void t.test("what nobody wants goes: another base, or long ago", (t) => {
  const policy = new SparePolicy(options);
  policy.want(small, "a", 0);
  policy.made("a", 90 * MIB);
  policy.rename(small, "b");
  t.same(policy.next(1), { type: "drop", name: "a" });
  policy.dropped("a");
  t.same(policy.next(1), { type: "make", shape: small, name: "b" });
  policy.made("b", 90 * MIB);
  t.same(policy.next(options.lapseMs + 2), { type: "drop", name: "b" });
  t.end();
});

void t.test("what was wanted longest ago makes room; nothing makes room for the less wanted", (t) => {
  const policy = new SparePolicy({ ...options, budgetBytes: 200 * MIB });
  policy.want(small, "a", 0);
  policy.made("a", 90 * MIB);
  policy.want(large, "b", 1);
  t.same(policy.next(1), { type: "drop", name: "a" });
  policy.dropped("a");
  t.match(policy.next(1), { type: "make", name: "b" });
  policy.made("b", 150 * MIB);
  t.same(policy.next(2), { type: "wait" }, "a would push b out and b would push a out");
  t.end();
});

void t.test("one that turned out too large goes, and is not made again", (t) => {
  const policy = new SparePolicy({ ...options, budgetBytes: 100 * MIB });
  policy.want(small, "a", 0);
  t.match(policy.next(0), { type: "make" });
  policy.made("a", 101 * MIB);
  t.same(policy.next(1), { type: "drop", name: "a" });
  policy.dropped("a");
  t.same(policy.next(1_000), { type: "wait" });
  t.end();
});

void t.test("after any events: within the budget, one at a time, quiet, and settled in a few steps", (t) => {
  const shape = fc.record({ memoryMiB: fc.constantFrom(64, 128, 256, 512), vcpus: fc.constantFrom(1, 2) });
  const event = fc.record({
    kind: fc.constantFrom("want", "start", "base", "pass", "break"),
    shape,
    ms: fc.nat(3000),
    fails: fc.boolean(),
    share: fc.double({ min: 0.2, max: 1.3, noNaN: true }),
  });
  fc.assert(
    fc.property(fc.array(event, { maxLength: 40 }), (events) => {
      const policy = new SparePolicy(options);
      const held = new Map<string, number>();
      let [now, base, startedAt] = [0, 0, Number.NEGATIVE_INFINITY];
      const nameOf = (of: Shape): string => `${shapeKey(of)}@${base}`;
      for (const { kind, shape: of, ms, fails, share } of events) {
        now += ms;
        if (kind === "want") policy.want(of, nameOf(of), now);
        if (kind === "start") policy.started((startedAt = now));
        if (kind === "base") base++;
        if (kind === "break") policy.failed(nameOf(of), now);
        for (const each of policy.shapes()) policy.rename(each, nameOf(each));
        let steps = 0;
        for (let action = policy.next(now); action.type !== "wait"; action = policy.next(now)) {
          if (++steps > 50) return false;
          if (action.type === "drop") {
            if (!held.delete(action.name)) return false;
            policy.dropped(action.name);
            continue;
          }
          if (held.has(action.name) || now < startedAt + options.quietMs) return false;
          policy.making(action.name);
          if (policy.next(now).type === "make") return false;
          const bytes = Math.round(estimateBytes(action.shape) * share);
          if (fails) policy.failed(action.name, now);
          else {
            policy.made(action.name, bytes);
            held.set(action.name, bytes);
          }
        }
        if ([...held.values()].reduce((sum, bytes) => sum + bytes, 0) > options.budgetBytes) return false;
      }
      return true;
    }),
  );
  t.end();
});
