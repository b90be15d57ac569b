/** Figures from what the measuring programs print, and their refusal to make any up. */
import t from "tap";
import { parseApacheBench, parseIperf, parsePingPong } from "../../router/programs.ts";

t.test("iperf3: what the receiver counted", async (t) => {
  const end = { sum_sent: { bits_per_second: 9 }, sum_received: { bits_per_second: 8e9, seconds: 2 } };
  t.same(parseIperf(JSON.stringify({ end })), { bitsPerSecond: 8e9, seconds: 2 });
  t.throws(() => parseIperf('{"end":{},"error":"unable to connect"}'), { message: /unable to connect/ });
  t.throws(() => parseIperf('{"end":{"sum_received":{"bits_per_second":0,"seconds":0}}}'), {
    message: /nothing was received/,
  });
});

t.test("round trips: few may be lost", async (t) => {
  t.same(parsePingPong('{"trips":5000,"lost":1,"p50":20,"p99":30}'), { p50: 20, p99: 30 });
  t.throws(() => parsePingPong('{"trips":500,"lost":1,"p50":20,"p99":30}'), {
    message: /1 messages were lost/,
  });
  t.throws(() => parsePingPong("{}"), { message: /no figures/ });
});

t.test("ab: no request may fail", async (t) => {
  const said = (failed: number): string =>
    `Failed requests:        ${failed}\nRequests per second:    9876.50 [#/sec] (mean)\n`;
  t.equal(parseApacheBench(said(0)), 9876.5);
  t.throws(() => parseApacheBench(said(3)), { message: /3 requests failed/ });
  t.throws(() => parseApacheBench(""), { message: /all requests failed/ });
});
