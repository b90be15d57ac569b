/**
 * The compare engine where it is used: a proxy process of its own, HTTP servers on the loopback, many clients at once.
 * The versions have noise planted: the time, an identifier per request, tokens inside a list without an order.
 */
import { spawn, type ChildProcess } from "node:child_process";
import { randomUUID } from "node:crypto";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import http from "node:http";
import net from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import t from "tap";
import type { ComparisonReport } from "../../compare/index.ts";

const CONNECTIONS = 24;
/** SPECIFICATION promises 6,000. */
const REQUESTS = process.env["FULL"] === "1" ? 6_000 : 1_000;
/** Of the second version, one answer in so many is wrong. */
const WRONG_EVERY = 1_000;

type Tap = Pick<typeof t, "teardown">;

async function listen(test: Tap, server: http.Server): Promise<number> {
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  test.teardown(() => {
    server.close();
    server.closeAllConnections();
  });
  return (server.address() as net.AddressInfo).port;
}

/** An order with its lines, as it was written, with all that a real server adds. `wrong(n)`: of the nth answer. */
function shop(wrong: (nth: number) => boolean): http.Server {
  let nth = 0;
  return http.createServer((request, response) => {
    request.resume();
    request.on("end", () => {
      nth += 1;
      const id = Number(/\d+/.exec(request.url ?? "")?.[0] ?? 0);
      const lines = [1, 2, 3].map((line) => ({ sku: `${id}-${line}`, price: id * line, link: randomUUID() }));
      lines.sort(() => Math.random() - 0.5);
      const total = lines.reduce((sum, { price }) => sum + price, wrong(nth) ? 1 : 0);
      const body = { id, total, lines, servedAt: new Date().toISOString(), trace: { request: randomUUID() } };
      response.setHeader("x-request-id", randomUUID());
      response.setHeader("content-type", "application/json");
      response.end(JSON.stringify(body));
    });
  });
}

interface Running {
  readonly port: number;
  readonly control: string;
  readonly process: ChildProcess;
}

async function startHost(test: Tap, module: string, ports: readonly number[]): Promise<Running> {
  const directory = mkdtempSync(join(tmpdir(), "vm-compare-"));
  writeFileSync(join(directory, "proxy.mjs"), module);
  const port = await freePort();
  const control = join(directory, "control.sock");
  const launch = {
    service: "shop",
    module: join(directory, "proxy.mjs"),
    control: { path: control },
    listen: [{ port: "tcp/80", address: `127.0.0.1:${port}` }],
    versions: ports.map((at, index) => ({ version: index + 1, endpoints: { "tcp/80": `127.0.0.1:${at}` } })),
  };
  const main = fileURLToPath(new URL("../../dist/host/main.js", import.meta.url));
  const child = spawn(process.execPath, [main, JSON.stringify(launch)], { stdio: "ignore", env: {} });
  test.teardown(() => {
    child.kill("SIGKILL");
    rmSync(directory, { recursive: true, force: true });
  });
  for (let waitedMs = 0; waitedMs < 30_000; waitedMs += 50) {
    const up = await call(control, "/v1/status").then(
      (status) => (status as { listening: string[] }).listening.length > 0,
      () => false,
    );
    if (up) return { port, control, process: child };
    await sleep(50);
  }
  throw new Error("the proxy process does not serve");
}

async function freePort(): Promise<number> {
  const server = net.createServer();
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const { port } = server.address() as net.AddressInfo;
  await new Promise((resolve) => server.close(resolve));
  return port;
}

function call(socketPath: string, path: string): Promise<unknown> {
  return new Promise((resolve, reject) => {
    http
      .get({ socketPath, path, agent: false }, (response) => {
        const chunks: Buffer[] = [];
        response.on("data", (chunk: Buffer) => chunks.push(chunk));
        response.on("end", () => resolve(JSON.parse(Buffer.concat(chunks).toString())));
      })
      .on("error", reject);
  });
}

/** Each connection asks for one order after the other. Returns how many were answered rightly by version 1. */
async function load(port: number, requests: number): Promise<number> {
  const agent = new http.Agent({ keepAlive: true, maxSockets: CONNECTIONS });
  let next = 0;
  let right = 0;
  const client = async (): Promise<void> => {
    while (next < requests) {
      const id = (next += 1);
      const body = await new Promise<string>((resolve, reject) => {
        const request = http.get(
          { agent, host: "127.0.0.1", port, path: `/orders/${id}?key=x` },
          (response) => {
            let text = "";
            response.on("data", (chunk: Buffer) => (text += chunk.toString()));
            response.on("end", () => resolve(text));
          },
        );
        request.on("error", reject);
      });
      const order = JSON.parse(body) as { id: number; total: number };
      if (order.id === id && order.total === id * 6) right += 1;
    }
  };
  await Promise.all(Array.from({ length: CONNECTIONS }, client));
  agent.destroy();
  return right;
}

/** Waits for the last copies. */
async function reportOf(control: string, pairs: number): Promise<ComparisonReport> {
  for (let waitedMs = 0; ; waitedMs += 100) {
    const { comparisons } = (await call(control, "/v1/compare")) as { comparisons: ComparisonReport[] };
    const [report] = comparisons;
    if (report !== undefined && (report.compared + report.dropped >= pairs || waitedMs > 30_000))
      return report;
    await sleep(100);
  }
}

/** A busy machine may keep a version waiting for longer than copies are waited for; that would be a difference. */
const shadow = "shadow: { timeoutMs: 60_000 }";
const MODULES = {
  shadow: `export default (toolkit) => toolkit.createHttpProxy({ ${shadow}, compare: {} });\n`,
  "asked at once": 'export default (toolkit) => toolkit.createHttpProxy({ reads: "first", compare: {} });\n',
};

function figures(report: ComparisonReport): string {
  const { verdicts, difference, chance, dropped } = report;
  const fields = report.fields.map(({ path, verdict, differing }) => `${path} ${differing.count} ${verdict}`);
  return (
    `same ${verdicts.same}, noise ${verdicts.noise}, different ${verdicts.different}, failed ${verdicts.failed}, ` +
    `missing ${verdicts.missing}, dropped ${dropped}; difference at most ${difference.atMost.toPrecision(3)}; ` +
    `asked twice ${chance.of}; ${fields.join(", ")}`
  );
}

for (const [name, module] of Object.entries(MODULES)) {
  t.test(`${name}: identical versions, ${CONNECTIONS} connections: no false difference`, async (t) => {
    const versions = [
      await listen(
        t,
        shop(() => false),
      ),
      await listen(
        t,
        shop(() => false),
      ),
    ];
    const { port, control } = await startHost(t, module, versions);
    const right = await load(port, REQUESTS);
    const report = await reportOf(control, REQUESTS);
    t.comment(figures(report));
    if (name === "shadow") t.equal(right, REQUESTS, "clients are answered by version 1");
    t.equal(report.compared + report.dropped + report.unanswered, REQUESTS, "no pair is lost");
    t.equal(report.dropped, 0);
    t.match(report.verdicts, { different: 0, failed: 0, missing: 0, noise: REQUESTS });
    t.same(
      report.fields.filter(({ verdict }) => verdict !== "noise"),
      [],
    );
    t.same(report.samples, []);
    t.ok(report.difference.atMost < 3.1 / REQUESTS, "the rule of three");
  });

  t.test(`${name}: one wrong answer in ${WRONG_EVERY} is found, with what was wrong`, async (t) => {
    const wrong = (nth: number): boolean => nth % WRONG_EVERY === 0;
    const versions = [
      await listen(
        t,
        shop(() => false),
      ),
      await listen(t, shop(wrong)),
    ];
    const { port, control } = await startHost(t, module, versions);
    await load(port, REQUESTS);
    const report = await reportOf(control, REQUESTS);
    t.comment(figures(report));
    t.comment(JSON.stringify(report.samples[0]));
    t.equal(report.compared + report.dropped + report.unanswered, REQUESTS, "no pair is lost");
    t.equal(report.verdicts.different, REQUESTS / WRONG_EVERY);
    t.match(report.fields[0], { path: "body.total", verdict: "different" });
    t.ok(report.difference.low < 1 / WRONG_EVERY && 1 / WRONG_EVERY < report.difference.high);
    const [sample] = report.samples;
    t.match(sample?.request, /^GET \/orders\/\d+$/, "without the query");
    const total = sample?.paths.find(({ path }) => path === "body.total");
    t.equal(Number(total?.candidate), Number(total?.baseline) + 1);
  });
}
