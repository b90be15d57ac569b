/** Rows that miss are named, with their figures. */
import t from "tap";
import type { Row } from "../../harness/bench.ts";
import { verdicts } from "../../router/aims.ts";

function row(measure: string, router: number, nat: number, routing: number): Row {
  const summary = (median: number) => ({ median, min: median * 0.9, max: median * 1.1 });
  const values = { router: summary(router), nat: summary(nat), routing: summary(routing) };
  return { measure, unit: "u", better: "higher", values };
}

t.test("all met", async (t) => {
  t.match(verdicts([row("TCP throughput, 1 stream", 96, 90, 100)], "router"), /All are met/);
  t.match(verdicts([row("TCP connections", 91, 90, 200)], "router"), /All are met/, "no aim against routing");
});

t.test("missed", async (t) => {
  const text = verdicts(
    [row("UDP packets, 64 bytes", 80, 90, 100), row("TCP connections", 10, 90, 90)],
    "router",
  );
  t.match(text, "misses: UDP packets, 64 bytes: 0.889 of nat, aim 1.00; the ranges overlap");
  t.match(text, "misses: UDP packets, 64 bytes: 0.800 of routing, aim 0.95; the ranges do not overlap");
  t.match(text, "misses: TCP connections: 0.111 of nat");
  t.notMatch(text, "All are met");
});
