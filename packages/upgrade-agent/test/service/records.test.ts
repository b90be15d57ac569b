import fc from "fast-check";
import t from "tap";
import { mustSetClock } from "../../service/control.ts";
import { describeRecord, LineSplitter, parseRecord, sourceOf } from "../../service/records.ts";
import { missedBetween, nextState, type ServiceState } from "../../service/state.ts";

t.test("a line of the log is a record", async (t) => {
  t.same(parseRecord("12 1795275403541 o hello  world"), {
    number: 12,
    atMs: 1_795_275_403_541,
    kind: "output",
    text: "hello  world",
  });
  t.same(parseRecord("13 1795275403541 f "), {
    number: 13,
    atMs: 1_795_275_403_541,
    kind: "failed",
    text: "",
  });
});

t.test("what is none is left out, whatever it is", async (t) => {
  for (const line of ["", "12", "12 5 o", "x 5 o text", "12 5 z text", `1 2 o ${"x".repeat(9_000)}`])
    t.equal(parseRecord(line), undefined, line.slice(0, 20));
  fc.assert(fc.property(fc.string(), (line) => void parseRecord(line)));
});

t.test("lines come whole, however they were cut", async (t) => {
  const text = fc.array(fc.stringMatching(/^[^\n]{0,40}$/), { maxLength: 20 });
  fc.assert(
    fc.property(text, fc.array(fc.nat(200)), (lines, cuts) => {
      const whole = lines.map((line) => `${line}\n`).join("");
      const splitter = new LineSplitter();
      const places = [0, ...cuts.toSorted((a, b) => a - b), whole.length];
      const got = places.flatMap((place, index) => splitter.push(whole.slice(places[index - 1] ?? 0, place)));
      t.same(got, lines);
    }),
  );
});

t.test("a service's output does not steer the terminal of who reads it", async (t) => {
  const record = parseRecord("1 2 o \u{1b}[2Jgone\ttab\u{202e}");
  t.equal(record === undefined ? "" : describeRecord(record), "\u{fffd}[2Jgone\ttab\u{fffd}");
});

function stateAfter(...lines: readonly string[]): ServiceState | undefined {
  return lines
    .map((line, index) => parseRecord(`${index + 1} ${index * 10} ${line}`))
    .filter((record) => record !== undefined)
    .reduce<ServiceState | undefined>(nextState, undefined);
}

t.test("records tell in which state a service is", async (t) => {
  t.equal(stateAfter("o hello"), undefined, "output says nothing of it");
  t.same(stateAfter("s 7"), { state: "running", sinceMs: 0, restarts: 0 });
  t.same(stateAfter("s 7", "x signal 9", "r 1000 1"), {
    state: "restarting",
    sinceMs: 20,
    restarts: 1,
    lastExit: "was ended by signal 9",
  });
  t.match(stateAfter("s 7", "x status 3", "r 1000 1", "s 8"), { state: "running", sinceMs: 30, restarts: 1 });
  t.match(stateAfter("s 7", "x status 3", "f "), { state: "failed", lastExit: "ended with status 3" });
  t.match(stateAfter("s 7", "x status 0", "d "), { state: "ended" });
  t.match(stateAfter("s 7", "k ", "x signal 9", "t "), { state: "stopped" });
  t.equal(sourceOf({ number: 1, atMs: 0, kind: "failed", text: "" }), "service");
});

t.test("lines that were not kept are counted; a log that begins anew misses none", async (t) => {
  t.equal(missedBetween(0, 1), 0);
  t.equal(missedBetween(7, 8), 0);
  t.equal(missedBetween(7, 10), 2);
  t.equal(missedBetween(7, 1), 0);
});

t.test("a clock is set only when it is surely wrong", async (t) => {
  t.equal(mustSetClock({ offsetMs: 400, uncertaintyMs: 0 }), false);
  t.equal(mustSetClock({ offsetMs: -700, uncertaintyMs: 100 }), true);
  t.equal(mustSetClock({ offsetMs: 1_200, uncertaintyMs: 900 }), false, "it may be that asking took so long");
});
