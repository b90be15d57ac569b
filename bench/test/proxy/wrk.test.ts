/** Figures from what wrk prints, and the refusal to make any up. */
import t from "tap";
import { parseWrk } from "../../proxy/wrk.ts";

const output = (more = ""): string => `Running 10m test @ http://10.89.0.1:8102/
  1 threads and 100 connections
  Thread Stats   Avg      Stdev     Max   +/- Stdev
    Latency     1.21ms    1.50ms  40.00ms   99.00%
    Req/Sec    80.00k     1.00k   81.00k    90.00%
  Latency Distribution
     50%  850.00us
     75%    0.90ms
     90%    1.00ms
     99%    1.06s${" "}
  80000 requests in 1.00s, 11.00MB read
${more}Requests/sec:  80000.50
Transfer/sec:     11.00MB
`;

t.test("latencies in their units", async (t) => {
  t.same(parseWrk(output()), { requests: 80_000, perSecond: 80_000.5, p50Ms: 0.85, p99Ms: 1060 });
});

t.test("what is no success is no figure", async (t) => {
  const errors = (text: string): string => output(`  Socket errors: ${text}\n`);
  t.throws(() => parseWrk(errors("connect 3, read 0, write 0, timeout 0")), { message: /3 connections/ });
  t.throws(() => parseWrk(errors("connect 0, read 1, write 1, timeout 0")), { message: /2 broke/ });
  t.throws(() => parseWrk(errors("connect 0, read 0, write 0, timeout 81")), { message: /81 of 80000/ });
  t.ok(parseWrk(errors("connect 0, read 0, write 0, timeout 80")));
  t.throws(() => parseWrk(output("  Non-2xx or 3xx responses: 1\n")), { message: /were errors/ });
  t.throws(() => parseWrk("unable to connect"), { message: /nothing was answered/ });
});
