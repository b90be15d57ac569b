/**
 * Reads what wrk prints. Pure; throws Error when the figures are not there.
 *
 * wrk is the load generator because it is the leanest one that Debian has: one thread of it asks nginx 80,000 times a
 * second on the processor that both share, where a client of ours in Node would reach a third and be what is measured.
 */

export interface WrkFigures {
  readonly requests: number;
  readonly perSecond: number;
  readonly p50Ms: number;
  readonly p99Ms: number;
}

/** One answer in a thousand may be late: with thousands of connections some wait for the first SYN's repetition. */
const LATE_SHARE_MAX = 0.001;

export function parseWrk(text: string): WrkFigures {
  const requests = Number(/^ *(\d+) requests in /m.exec(text)?.[1] ?? 0);
  const perSecond = Number(/^Requests\/sec: +([0-9.]+)/m.exec(text)?.[1] ?? 0);
  if (requests === 0 || perSecond === 0) throw new Error("wrk: nothing was answered");
  const refused = Number(/^ *Non-2xx or 3xx responses: (\d+)/m.exec(text)?.[1] ?? 0);
  if (refused > 0) throw new Error(`wrk: ${refused} of ${requests} answers were errors`);
  const [connect, read, write, late] = errorsOf(text);
  if (connect + read + write > 0)
    throw new Error(`wrk: ${connect} connections were not made, ${read + write} broke`);
  if (late > requests * LATE_SHARE_MAX) throw new Error(`wrk: ${late} of ${requests} answers were late`);
  return { requests, perSecond, p50Ms: latency(text, "50%"), p99Ms: latency(text, "99%") };
}

function errorsOf(text: string): readonly [number, number, number, number] {
  const found = /^ *Socket errors: connect (\d+), read (\d+), write (\d+), timeout (\d+)/m.exec(text);
  const count = (index: number): number => Number(found?.[index] ?? 0);
  return [count(1), count(2), count(3), count(4)];
}

const MILLISECONDS: Readonly<Record<string, number>> = { us: 1e-3, ms: 1, s: 1e3, m: 60e3 };

function latency(text: string, percentile: string): number {
  const [, value, unit = ""] =
    new RegExp(String.raw`^ +${percentile} +([0-9.]+)(us|ms|s|m) *$`, "m").exec(text) ?? [];
  const scale = MILLISECONDS[unit];
  if (value === undefined || scale === undefined) throw new Error(`wrk: there is no ${percentile}`);
  return Number(value) * scale;
}
