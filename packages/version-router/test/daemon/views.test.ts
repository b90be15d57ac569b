/** What an operator looks at, through the control API: flows, counters by peer, warnings, and the live trace. */
import { get } from "node:http";
import { text } from "node:stream/consumers";
import { setTimeout as sleep } from "node:timers/promises";
import t from "tap";
import type { Test } from "tap";
import type { Flow, PeerCounter, TraceFilter, TraceLine, TracedPacket } from "../../control/contract.ts";
import { VERDICT_NAMES, meaningOf } from "../../control/verdicts.ts";
import { warningsOf } from "../../daemon/warnings.ts";
import { VERDICTS } from "../../datapath/kernel/structs.ts";
import { RULE_VERDICTS } from "../../datapath/relay/ruleset.ts";
import { startNode } from "./harness.ts";
import type { TestNode } from "./harness.ts";

const packet = (verdict: string, version = 1): TracedPacket => ({
  type: "packet",
  atMs: 1000,
  hook: "uplink_ingress",
  direction: "in",
  protocol: "udp",
  source: "10.0.0.2",
  sourcePort: 7001,
  destination: "10.0.0.1",
  destinationPort: 16_384,
  bytes: 62,
  service: "kv",
  version,
  verdict,
  ...meaningOf(verdict),
});

/** Begins a trace and waits until the data path is asked; `lines` fills by itself. */
async function trace(
  t: Test,
  { client, dataPath }: TestNode,
  filter: TraceFilter,
): Promise<{ lines: TraceLine[]; over: Promise<void>; stop: () => Promise<void> }> {
  const lines: TraceLine[] = [];
  const end = new AbortController();
  const over = (async () => {
    for await (const line of client.trace(filter, end.signal)) lines.push(line);
  })();
  over.catch(() => undefined);
  t.teardown(() => end.abort());
  await until(() => lines.length > 0 && dataPath.tracing !== undefined);
  return {
    lines,
    over,
    stop: async () => {
      end.abort();
      await over;
    },
  };
}

async function until(isSo: () => boolean): Promise<void> {
  for (let waitedMs = 0; !isSo(); waitedMs += 20) {
    if (waitedMs > 10_000) throw new Error("it did not come to that");
    await sleep(20);
  }
}

t.test("a trace shows what is asked for while it is asked for", async (t) => {
  const node = await startNode(t);
  const { lines, stop } = await trace(t, node, { verdict: "delivered" });
  t.match(lines, [{ type: "note", code: "N_TRACING", message: /kernel/ }]);
  node.dataPath.judge(packet("delivered"));
  node.dataPath.judge(packet("unmarked"));
  await until(() => lines.length === 2);
  t.same(lines[1], packet("delivered"));
  await stop();
  await until(() => node.dataPath.tracing === undefined);
});

t.test("several trace at once, each what is theirs; the data path looks for what any wants", async (t) => {
  const node = await startNode(t);
  const one = await trace(t, node, { service: "kv", version: 1 });
  t.same(node.dataPath.tracing, { service: "kv", version: 1 });
  const two = await trace(t, node, { service: "kv", version: 2 });
  await until(() => JSON.stringify(node.dataPath.tracing) === '{"service":"kv"}');
  for (const version of [1, 2, 3]) node.dataPath.judge(packet("delivered", version));
  await until(() => one.lines.length === 2 && two.lines.length === 2);
  t.match([one.lines[1], two.lines[1]], [{ version: 1 }, { version: 2 }]);
  await one.stop();
  await until(() => JSON.stringify(node.dataPath.tracing) === '{"service":"kv","version":2}');
  await two.stop();
});

t.test("a trace ends with the router, and with its reader's death", async (t) => {
  const node = await startNode(t);
  const { lines, over } = await trace(t, node, {});
  const died = await trace(t, node, {});
  await died.stop();
  await node.stop();
  await t.rejects(over, { code: "E_NO_ROUTER" });
  t.equal(node.dataPath.tracing, undefined);
  t.equal(lines.length, 1);
});

t.test("a data path that fails ends the trace and is in the log", async (t) => {
  const node = await startNode(t);
  const { stop } = await trace(t, node, {});
  await node.dataPath.close();
  await until(() => node.logged.some((line) => line.includes("E_NO_DATA_PATH")));
  await node.dataPath.open();
  await stop();
});

t.test("attack: no more than eight trace at once", async (t) => {
  const node = await startNode(t);
  for (let count = 0; count < 8; count += 1) await trace(t, node, {});
  const { signal } = new AbortController();
  await t.rejects(node.client.trace({}, signal).next(), { code: "E_BAD_REQUEST" });
});

t.test("filters are checked", async (t) => {
  const { client } = await startNode(t);
  const wrong = { verdict: "nonsense", port: 0, peer: "here", version: 0, service: "K" };
  const { signal } = new AbortController();
  await t.rejects(client.trace(wrong, signal).next(), {
    code: "E_BAD_REQUEST",
    message: /service.*version.*peer.*port.*verdict/s,
  });
  await t.rejects(client.flows({ limit: 10_001 }), { code: "E_BAD_REQUEST" });
});

t.test("flows are filtered and limited, the latest first", async (t) => {
  const { client, dataPath } = await startNode(t);
  const flow: Flow = {
    service: "kv",
    version: 1,
    protocol: "tcp",
    kind: "peer",
    remoteAddress: "10.0.0.2",
    remotePort: 7000,
    localPort: 16_384,
    state: "open",
    idleMs: 50,
  };
  dataPath.openFlows.push(
    flow,
    { ...flow, version: 2, idleMs: 10 },
    { ...flow, protocol: "udp", idleMs: 90 },
  );
  t.match(await client.flows({ limit: 2 }), { flows: [{ idleMs: 10 }, { idleMs: 50 }], notShown: 1 });
  t.match(await client.flows({ protocol: "udp" }), { flows: [{ idleMs: 90 }], notShown: 0 });
  t.same((await client.flows({ peer: "10.0.0.3" })).flows, []);
});

const stripped: PeerCounter = {
  peerAddress: "10.0.0.2",
  service: "kv",
  version: 1,
  verdict: "option_stripped",
  packets: 3,
  bytes: 180,
  lastSeenMs: 1_000_000,
};

t.test(
  "a path that strips the option: the status names the peer and what to do, metrics count it",
  async (t) => {
    const node = await startNode(t);
    const { client, dataPath, config } = node;
    dataPath.peerVerdicts.push({ ...stripped, lastSeenMs: Date.now() });
    t.match((await client.status()).warnings, [
      {
        code: "W_OPTION_STRIPPED",
        peerAddress: "10.0.0.2",
        packets: 3,
        message: /10\.0\.0\.2.*option 253.*relay/s,
      },
    ]);
    t.match(await client.status(), { dataPathReason: "a test wants it" });
    t.match(await client.peerCounters(), [{ peerAddress: "10.0.0.2", verdict: "option_stripped" }]);
    const metrics = await new Promise<string>((resolve, reject) => {
      const options = { socketPath: config.socket, path: "/metrics", agent: false };
      get(options, (response) => resolve(text(response))).once("error", reject);
    });
    t.match(
      metrics,
      'version_router_peer_packets_total{peer="10.0.0.2",service="kv",version="1",verdict="option_stripped"} 3\n',
    );
    t.match(metrics, "version_router_option_stripped_peers 1\n");
  },
);

t.test("what is long over, or something else, is no warning; there are never many", async (t) => {
  t.same(warningsOf([stripped], stripped.lastSeenMs + 600_000), []);
  t.same(warningsOf([{ ...stripped, verdict: "unmarked" }], stripped.lastSeenMs), []);
  const many = Array.from({ length: 100 }, (_, index) => ({ ...stripped, peerAddress: `10.0.1.${index}` }));
  t.equal(warningsOf(many, stripped.lastSeenMs).length, 32);
});

t.test("every verdict of every data path has a meaning", async (t) => {
  for (const verdict of [...VERDICTS, ...RULE_VERDICTS, "too_many"]) {
    t.ok(VERDICT_NAMES.includes(verdict), verdict);
    t.not(meaningOf(verdict).reason, "see docs/WIRE.md");
  }
  t.match(meaningOf("of a newer router"), { outcome: "refused" });
});

t.test("the agent takes ports back", async (t) => {
  const { client } = await startNode(t);
  const key = { service: "kv", version: 1 };
  await t.rejects(client.unregisterPorts(key, { peer: [], client: [] }), { code: "E_NO_DOMAIN" });
  await client.attachDomain({ ...key, kind: "tap" });
  await client.registerPorts(key, { peer: ["tcp/7000"], client: ["tcp/80"] });
  await client.unregisterPorts(key, { peer: ["tcp/7000", "udp/9"], client: [] });
  t.match(await client.status(), { domains: [{ ports: { peer: [], client: ["tcp/80"] } }] });
});
