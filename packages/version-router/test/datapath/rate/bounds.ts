/**
 * What a domain's rate means, held against either data path with real packets. Nothing here is a speed of the machine:
 * what passed is compared with what the rate allows in the time that it took, and with a neighbour that has no rate.
 */
import { setTimeout as sleep } from "node:timers/promises";
import type { Test } from "tap";
import { serviceTag } from "../../../mark/index.ts";
import { CLIENT } from "../lab.ts";
import type { Actor } from "../actor-handle.ts";
import type { Lab, LabNode } from "../lab.ts";
import type { DataPath } from "../../../datapath/datapath.ts";

const TALKER = new URL("talker.ts", import.meta.url).pathname;
const PORT = 9000;
const MBIT_PER_S = 8;
const BYTES_PER_MS = MBIT_PER_S * 125;
/** What may pass at once, however long nothing has: 256 KiB, and the relay's second and part for SSH. */
const BURST_BYTES = { kernel: 256 * 1024, relay: 320 * 1024 + 1000 * BYTES_PER_MS } as const;
/** How long everybody talks. */
const MS = 500;

interface Scene {
  readonly node: LabNode;
  /** In the bounded domain: two processes, for two processors. */
  readonly guests: readonly [Actor, Actor];
  readonly neighbour: Actor;
  readonly client: Actor;
  readonly limit: (networkMbitPerS?: number) => Promise<void>;
}

async function setUp(lab: Lab): Promise<Scene> {
  const [node] = lab.nodes as [LabNode];
  const ports = [`tcp/${PORT}`, `tcp/${PORT + 1}`, `udp/${PORT}`] as const;
  const ssh = await node.domain(0, 1);
  await node.domain(1, 2);
  await node.call("setPorts", 0, { peer: [], client: ports });
  await node.call("setClientPath", "kv", { kind: "direct", version: 1 });
  const start = (namespace: string): Promise<Actor> => lab.actor(namespace, TALKER);
  const [guest, other, neighbour, client] = await Promise.all([
    start(node.domainNamespace(0)),
    start(node.domainNamespace(0)),
    start(node.domainNamespace(1)),
    start(lab.clientNamespace),
  ]);
  await ssh.call("tcpServe", 22, "sshd");
  for (const each of [guest, neighbour, client]) await each.call("serve", PORT, MS);
  const limit = async (networkMbitPerS?: number): Promise<void> => {
    const entry = { slot: 0, service: "kv", tag: serviceTag("kv"), version: 1, link: "veth" } as const;
    await node.call("attachDomain", networkMbitPerS === undefined ? entry : { ...entry, networkMbitPerS });
  };
  return { node, guests: [guest, other], neighbour, client, limit };
}

/** Bytes that arrived here, and milliseconds, while that was going on. */
async function measure(at: Actor, talk: () => Promise<unknown>): Promise<{ bytes: number; ms: number }> {
  await at.call("received");
  const startedMs = performance.now();
  await talk();
  // What is under way belongs to it.
  await sleep(100);
  const bytes = await at.call<number>("received");
  return { bytes, ms: performance.now() - startedMs };
}

/** In a lab of one node, whose slots 0 and 1 they take. */
export async function boundCases(t: Test, lab: Lab, kind: DataPath["kind"]): Promise<void> {
  const { node, guests, neighbour, client, limit } = await setUp(lab);
  const [guest, other] = guests;
  const allowed = (ms: number): number => BURST_BYTES[kind] + ms * BYTES_PER_MS;
  const isBounded = (t: Test, who: string, { bytes, ms }: { bytes: number; ms: number }): void => {
    t.ok(
      bytes <= allowed(ms),
      `${who}: ${bytes} bytes in ${ms.toFixed(0)} ms, allowed ${allowed(ms).toFixed(0)}`,
    );
    // Half of what may pass at once, which takes no time.
    t.ok(bytes >= 128 * 1024, `${who}: it did pass`);
  };
  await limit(MBIT_PER_S);

  t.test("streams of a server and of a client, in and out, also after the daemon was killed", async (t) => {
    await node.start();
    const [sent, received] = await Promise.all([
      measure(client, () =>
        Promise.all([
          guest.call("sendTcp", CLIENT, PORT, MS),
          client.call("takeTcp", node.address, PORT + 1, MS),
        ]),
      ),
      measure(guest, () => client.call("sendTcp", node.address, PORT, MS)),
    ]);
    isBounded(t, "sent", sent);
    isBounded(t, "received", received);
  });

  t.test("datagrams, in and out; a neighbour without a rate has none", async (t) => {
    const [out, into] = await Promise.all([
      measure(client, () => Promise.all(guests.map((each) => each.call("flood", CLIENT, PORT, MS)))),
      measure(guest, () => client.call("flood", node.address, PORT, MS)),
    ]);
    isBounded(t, "sent", out);
    isBounded(t, "received", into);
    const free = await measure(client, () => neighbour.call("sendTcp", CLIENT, PORT, MS));
    t.ok(free.bytes > allowed(free.ms), `the neighbour: ${free.bytes} bytes in ${free.ms.toFixed(0)} ms`);
  });

  t.test("the agent gets in while the domain sends and receives all it can", async (t) => {
    const dropped = async (): Promise<number> => node.counter("rate_exceeded", 1);
    const floods = [
      guest.call("flood", CLIENT, PORT, 20_000),
      other.call("flood", CLIENT, PORT, 20_000),
      client.call("flood", node.address, PORT, 20_000),
    ];
    await sleep(300);
    const before = await dropped();
    t.ok(before > 0, `${before} frames were dropped`);
    for (let turn = 0; turn < 5; turn += 1) {
      const { id, greeting } = await node.host.connect("169.254.128.1", 22);
      t.match(greeting, /^sshd 169\.254\.1\.1:/);
      t.equal(await node.host.echo(id, "still"), "still");
    }
    t.ok((await dropped()) > before, "all the while");
    await Promise.all([guest, other, client].map((each) => each.call("stop")));
    await Promise.all(floods);
    t.equal(await node.counter("rate_exceeded", 2), 0, "none of the neighbour's");
  });

  t.test("without its rate it is as free as its neighbour", async (t) => {
    await limit();
    const [free, into] = await Promise.all([
      measure(client, () => guest.call("sendTcp", CLIENT, PORT, MS)),
      measure(guest, () => client.call("sendTcp", node.address, PORT, MS)),
    ]);
    t.ok(free.bytes > allowed(free.ms), `sent ${free.bytes} bytes in ${free.ms.toFixed(0)} ms`);
    t.ok(into.bytes > allowed(into.ms), `received ${into.bytes} bytes in ${into.ms.toFixed(0)} ms`);
  });
}
