/** A daemon over the fake data path, on loopback addresses and a socket in a directory of the test's own. */
import { createServer } from "node:net";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Test } from "tap";
import { RouterClient } from "../../control/client.ts";
import type { RouterEvent } from "../../control/contract.ts";
import { parseConfig } from "../../daemon/config.ts";
import type { RouterConfig } from "../../daemon/config.ts";
import { startDaemon } from "../../daemon/daemon.ts";
import type { RunningDaemon } from "../../daemon/daemon.ts";
import { FakeDataPath } from "../../datapath/fake.ts";

export interface TestNode {
  readonly config: RouterConfig;
  readonly dataPath: FakeDataPath;
  readonly client: RouterClient;
  readonly logged: string[];
  start(): Promise<void>;
  stop(): Promise<void>;
}

/** Domains of the fake get 127.0.1.(slot+1), from which a test can really call the gateway. */
export async function makeNode(
  t: Test,
  settings: Record<string, unknown> = {},
  managementAddress = (slot: number) => `127.0.1.${slot + 1}`,
): Promise<TestNode> {
  const directory = await mkdtemp(join(tmpdir(), "vmrd-test-"));
  const text = JSON.stringify({
    uplink: "lo",
    serviceAddress: "127.0.0.1",
    pinDirectory: join(directory, "pins"),
    socket: join(directory, "router.sock"),
    gatewayPort: await freePort(),
    exchangePort: await freePort(),
    exchangeIntervalMs: 200,
    ...settings,
  });
  const config = parseConfig(text, "test");
  const dataPath = new FakeDataPath({
    serviceAddress: config.serviceAddress,
    managementAddress,
  });
  const logged: string[] = [];
  let daemon: RunningDaemon | undefined;
  const node: TestNode = {
    config,
    dataPath,
    client: new RouterClient(config.socket),
    logged,
    async start() {
      daemon = await startDaemon({
        config,
        dataPath,
        dataPathReason: "a test wants it",
        gatewayAddress: config.serviceAddress,
        nowMs: () => Math.round(performance.timeOrigin + performance.now()),
        random: Math.random,
        log: (message) => logged.push(message),
      });
    },
    async stop() {
      await daemon?.close();
      daemon = undefined;
    },
  };
  t.teardown(async () => {
    await node.stop();
    await rm(directory, { recursive: true });
  });
  return node;
}

export async function startNode(...made: Parameters<typeof makeNode>): Promise<TestNode> {
  const node = await makeNode(...made);
  await node.start();
  return node;
}

/** Collects events until `enough` says so; fails the test after ten seconds. */
export async function collect(
  client: RouterClient,
  enough: (events: readonly RouterEvent[]) => boolean,
): Promise<RouterEvent[]> {
  const events: RouterEvent[] = [];
  const stop = new AbortController();
  const late = setTimeout(() => stop.abort(), 10_000);
  for await (const event of client.events(stop.signal)) {
    events.push(event);
    if (enough(events)) break;
  }
  clearTimeout(late);
  if (!enough(events)) throw new Error(`only heard ${JSON.stringify(events)}`);
  return events;
}

export async function freePort(): Promise<number> {
  const server = createServer();
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const address = server.address();
  await new Promise((resolve) => server.close(resolve));
  if (address === null || typeof address === "string") throw new Error("no port");
  return address.port;
}
