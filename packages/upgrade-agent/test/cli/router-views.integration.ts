/** `vm-upgrade router flows`, `peers` and `trace` as an operator runs them, at a real router with real traffic. */
import { spawn } from "node:child_process";
import type { ChildProcess } from "node:child_process";
import { existsSync } from "node:fs";
import { get } from "node:http";
import { text } from "node:stream/consumers";
import { setTimeout as sleep } from "node:timers/promises";
import t from "tap";
import type { FlowList, PeerCounter, TraceLine } from "@version-manager/version-router";
import {
  udpAsk,
  udpServer,
  whyNoNamespaces,
  Wire,
  within,
} from "../../../version-router/test/daemon/namespaces.ts";

const program = new URL("../../dist/cli/main.js", import.meta.url).pathname;
const PORT = 7001;
const ports = { peer: [`udp/${PORT}`], client: [] } as const;

const skip = existsSync(program) ? whyNoNamespaces() : "needs a build: npm run build";
if (skip === false) await run();
else t.plan(0, skip);

async function run(): Promise<void> {
  const wire = new Wire({ peers: ["10.79.0.1", "10.79.0.2"] });
  t.teardown(() => wire.close());
  const [one, two] = wire.nodes;
  const domains: string[] = [];
  for (const node of wire.nodes) {
    node.start();
    const key = { service: "kv", version: 1 };
    domains.push(wire.domain(node, await node.client.attachDomain({ ...key, kind: "veth" })));
    await node.client.registerPorts(key, ports);
  }
  const [first = "", second = ""] = domains;
  const server = udpServer(second, PORT, "two");
  t.teardown(() => void server.kill());
  const speak = () => udpAsk(first, two.address, PORT);
  const words = (...more: string[]) => [process.execPath, program, "router", ...more, "--router", one.socket];

  /** Runs a trace; it has begun when this returns. */
  const trace = async (...more: string[]): Promise<{ child: ChildProcess; out: Promise<string> }> => {
    const child = spawn("nsenter", [`--net=/run/netns/${one.namespace}`, ...words("trace", ...more)]);
    t.teardown(() => void child.kill("SIGKILL"));
    const out = text(child.stdout);
    await until(async () => (await traces()) === 1);
    return { child, out };
  };
  /** The router's own word for how many trace. */
  const traces = async (): Promise<number> => {
    const metrics = await new Promise<string>((resolve, reject) => {
      const options = { socketPath: one.socket, path: "/metrics", agent: false };
      get(options, (response) => resolve(text(response))).once("error", reject);
    });
    return Number(/^version_router_traces (\d+)$/m.exec(metrics)?.[1]);
  };
  const ended = (child: ChildProcess) =>
    new Promise<number | null>((resolve) => {
      if (child.exitCode !== null) resolve(child.exitCode);
      else child.once("exit", resolve);
    });

  t.test("trace --count: a line for the datagram and one for its answer, with their marks", async (t) => {
    const { child, out } = await trace("--port", String(PORT), "--count", "2");
    t.equal(await speak(), `two ${one.address}`);
    t.equal(await ended(child), 0);
    const lines = (await out).trim().split("\n");
    t.comment(lines.join("\n"));
    t.match(lines, [
      /^\d\d:\d\d:\d\d\.\d{6} vm-s0 +out 10\.79\.0\.1\.\d+ > 10\.79\.0\.2\.7001: udp \d+ bytes, kv v1, mark v1 .*; passed, marked: /,
      /^\d\d:\d\d:\d\d\.\d{6} uplink +in +10\.79\.0\.2\.7001 > 10\.79\.0\.1\.\d+: udp \d+ bytes, kv v1, mark v1 .*; passed, delivered: /,
    ]);
    await until(async () => (await traces()) === 0);
  });

  t.test("Ctrl-C ends it in order, and so does time; JSON is a value per line", async (t) => {
    const { child, out } = await trace("--json", "--service", "kv", "--verdict", "delivered");
    await speak();
    await sleep(500);
    // As a terminal does it.
    child.kill("SIGINT");
    t.equal(await ended(child), 0);
    const lines = (await out)
      .trim()
      .split("\n")
      .map((line) => JSON.parse(line) as TraceLine);
    t.match(lines, [
      { type: "note", code: "N_TRACING" },
      { type: "packet", verdict: "delivered", outcome: "passed" },
    ]);
    await until(async () => (await traces()) === 0);
    const timed = await within(one.namespace, ...words("trace", "--seconds", "1"));
    // Neighbours that ask for one another are packets, too.
    t.match(timed, { code: 0, err: /\d packets shown, 0 packets not shown/ });
  });

  t.test("killed, it leaves no tracing behind", async (t) => {
    const { child } = await trace();
    child.kill("SIGKILL");
    await until(async () => (await traces()) === 0);
    t.pass("the router noticed");
  });

  t.test("flows, for people and as JSON", async (t) => {
    await one.client.setClientPath("kv", { kind: "direct", version: 1 });
    await one.client.registerPorts({ service: "kv", version: 1 }, { peer: [], client: ["udp/53"] });
    const clients = udpServer(first, 53, "one");
    t.teardown(() => void clients.kill());
    t.equal(await udpAsk(two.namespace, one.address, 53), `one ${two.address}`);
    const shown = await within(one.namespace, ...words("flows", "--service", "kv"));
    t.comment(shown.out);
    t.match(
      shown.out,
      /^PROTOCOL +REMOTE +PORT HERE +SERVICE +VERSION +KIND +STATE +LAST PACKET\nudp +10\.79\.0\.2\.\d+ +53 +kv +1 +client +open +\d/,
    );
    const json = await within(
      one.namespace,
      ...words("flows", "--version", "1", "--protocol", "udp", "--json"),
    );
    t.match(JSON.parse(json.out) as FlowList, { flows: [{ remoteAddress: two.address, localPort: 53 }] });
    const none = await within(one.namespace, ...words("flows", "--peer", "10.79.0.9", "--json"));
    t.same(JSON.parse(none.out), { flows: [], notShown: 0 });
  });

  t.test("peers: what passed with each", async (t) => {
    const shown = await within(one.namespace, ...words("peers", "--verdict", "marked"));
    t.comment(shown.out);
    t.match(shown.out, /^PEER .*\n10\.79\.0\.2 +kv +1 +marked +\d+ +\d+ +\d.* ago\n$/);
    const json = await within(one.namespace, ...words("peers", "--json"));
    t.ok((JSON.parse(json.out) as PeerCounter[]).every(({ peerAddress }) => peerAddress === two.address));
  });

  t.test("wrong words, and no router", async (t) => {
    t.match(await within(one.namespace, ...words("trace", "--verdict", "nonsense")), {
      code: 2,
      err: /E_BAD_REQUEST/,
    });
    t.match(await within(one.namespace, ...words("flows", "--limit", "0")), {
      code: 2,
      err: /E_BAD_REQUEST/,
    });
    await one.stop("SIGTERM");
    t.match(await within(one.namespace, ...words("trace")), { code: 3, err: /E_NO_ROUTER/ });
  });
}

async function until(isSo: () => Promise<boolean>): Promise<void> {
  for (let tries = 0; tries < 200; tries += 1) {
    if (await isSo()) return;
    await sleep(100);
  }
  throw new Error("it did not come to that");
}
