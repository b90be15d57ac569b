/** Comparing as an operator sees it: a real proxy, the agent's API over its socket, and the CLI. No domains. */
import { spawn } from "node:child_process";
import http from "node:http";
import type { AddressInfo } from "node:net";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import t from "tap";
import { createJsonServer } from "../../api/http.ts";
import type { CompareStatus } from "../../api/contract.ts";
import { checkCompareGate, compareStatus, type CompareGateOptions } from "../../daemon/compare-gate.ts";
import { Journal } from "../../journal/journal.ts";
import { newUpgrade } from "../../lifecycle/machine.ts";
import { createProxySupervisor } from "../../proxy/index.ts";
import type { Manifest } from "../../release/contract.ts";
import { ask, freePort, makeStage, withoutInstrumentation } from "../proxy/stage.ts";

withoutInstrumentation();

/** Copies are waited for as long as a busy machine may need. */
const MODULE =
  "export default (toolkit) => toolkit.createHttpProxy({ shadow: { timeoutMs: 60_000 }, compare: {} });\n";

type Tap = Pick<typeof t, "teardown">;

/** Answers a sum; of the nth request a wrong one when `wrong(n)`. */
async function version(test: Tap, wrong: (nth: number) => boolean): Promise<string> {
  let nth = 0;
  const server = http.createServer((_request, response) => {
    nth += 1;
    response.end(JSON.stringify({ sum: wrong(nth) ? 8 : 7, at: process.hrtime.bigint().toString() }));
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  test.teardown(() => {
    server.close();
    server.closeAllConnections();
  });
  return `127.0.0.1:${(server.address() as AddressInfo).port}`;
}

async function scene(test: Tap, wrong: (nth: number) => boolean) {
  const stage = makeStage();
  const port = await freePort();
  const proxies = createProxySupervisor(stage);
  const journal = new Journal(":memory:");
  for (const number of [1, 2]) {
    const key = { service: "kv", version: number, source: "local", learnedBy: "seed" } as const;
    journal.save(newUpgrade(key, "running", 0));
  }
  const endpoints = [await version(test, () => false), await version(test, wrong)];
  await proxies.ensure({
    service: "kv",
    modulePath: stage.writeModule("compare.js", MODULE),
    address: "127.0.0.1",
    listen: [`tcp/${port}`],
    versions: endpoints.map((at, index) => ({ version: index + 1, endpoints: { [`tcp/${port}`]: at } })),
  });
  const compare = { differencesPerMillionMax: 20_000, requestsMin: 200, confidencePercent: 95 };
  const options: CompareGateOptions = {
    journal,
    proxies,
    manifestOf: async () => ({ proxy: { module: "proxy.js", compare } }) as Manifest,
  };
  const socket = join(stage.runDirectory, "agent.sock");
  const api = createJsonServer(
    { "GET /v1/compare/:service": ({ parameters }) => compareStatus(options, parameters["service"] ?? "") },
    { bodyBytesMax: 1_024, timeoutMs: 60_000 },
  );
  await new Promise<void>((resolve) => api.listen(socket, resolve));
  test.teardown(async () => {
    api.close();
    await proxies.stop("kv");
    proxies.close();
    journal.close();
    stage.remove();
  });
  const load = async (requests: number): Promise<void> => {
    const agent = new http.Agent({ keepAlive: true, maxSockets: 4 });
    const client = async (): Promise<void> => {
      for (let n = 0; n < requests / 4; n += 1) await ask(agent, port, "GET", `/${n}`);
    };
    await Promise.all([client(), client(), client(), client()]);
    agent.destroy();
  };
  return { options, load, socket };
}

function cli(socket: string, ...words: string[]): Promise<{ status: number | null; output: string }> {
  const main = fileURLToPath(new URL("../../dist/cli/main.js", import.meta.url));
  const child = spawn(process.execPath, [main, "compare", "kv", "--socket", socket, ...words], {
    env: { NO_COLOR: "1" },
  });
  let output = "";
  for (const stream of [child.stdout, child.stderr])
    stream.on("data", (chunk: Buffer) => (output += chunk.toString()));
  return new Promise((resolve) => child.on("close", (status) => resolve({ status, output })));
}

/** Until the last copies are compared. */
async function compared(options: CompareGateOptions, pairs: number): Promise<CompareStatus> {
  for (let waitedMs = 0; ; waitedMs += 50) {
    const status = await compareStatus(options, "kv");
    if ((status.comparisons[0]?.compared ?? 0) >= pairs || waitedMs > 30_000) return status;
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
}

const OLD = { service: "kv", version: 1 };

t.test("an older version is not given up before enough was compared; then it may be", async (t) => {
  const { options, load, socket } = await scene(t, () => false);
  await t.rejects(checkCompareGate(options, OLD), { code: "E_COMPARE_GATE" }, "nothing was compared");
  await load(100);
  t.match((await compared(options, 100)).faults, [/100 of 200/, /may be 2.95 %/]);
  const early = await cli(socket, "--check");
  t.equal(early.status, 4);
  t.match(early.output, /E_COMPARE_GATE/);
  await load(100);
  const met = await compared(options, 200);
  t.same([met.candidate, met.faults], [2, []]);
  await checkCompareGate(options, OLD);
  const late = await cli(socket, "--check");
  t.equal(late.status, 0);
  t.match(late.output, /200 compared, 0 same, 200 but for noise, 0 different/);
  t.match(late.output, /body\.at +noise/);
  const json = await cli(socket, "--json");
  t.match(JSON.parse(json.output), { service: "kv", comparisons: [{ compared: 200 }] });
  t.match(json.output, '"faults":[]');
});

t.test("a version that answers wrongly now and then is held up, and its answers are shown", async (t) => {
  const { options, load, socket } = await scene(t, (nth) => nth % 20 === 0);
  await load(400);
  t.match((await compared(options, 400)).comparisons, [{ verdicts: { different: 20, noise: 380 } }]);
  await t.rejects(checkCompareGate(options, OLD), { code: "E_COMPARE_GATE" });
  await checkCompareGate(options, { service: "kv", version: 2 });
  const { status, output } = await cli(socket, "--check");
  t.equal(status, 4);
  t.match(output, /body\.sum +different/);
  t.match(output, /body\.sum: 7 but 8/);
  t.match(output, /20 of 400 differ, so the rate may be/);
  t.comment(output);
});
