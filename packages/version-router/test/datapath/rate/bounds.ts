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
const MBIT_PER_S = 4;
const BYTES_PER_MS = MBIT_PER_S * 125;
/** What may pass at once, however long nothing has: 256 KiB, and the relay's second and part for SSH. */
const BURST_BYTES = { kernel: 256 * 1024, relay: 320 * 1024 + 1000 * BYTES_PER_MS } as const;
/** How long everybody talks, and how often at most: a busy machine may give somebody no turn in that time. */
const MS = 500;
const TURNS = 10;
/** Half of what may pass at once. */
const SOME_BYTES = 128 * 1024;
/** Longer than any case. */
const FLOOD_MS = 60_000;

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

class Bounds {
  readonly #burstBytes: number;

  constructor(kind: DataPath["kind"]) {
    this.#burstBytes = BURST_BYTES[kind];
  }

  /** Each turn keeps within the rate, and something is heard. */
  async hold(t: Test, who: string, at: Actor, talk: () => Promise<unknown>): Promise<void> {
    let heard = 0;
    for (let turn = 0; turn < TURNS && heard < SOME_BYTES; turn += 1) {
      const { bytes, ms } = await measure(at, talk);
      const allowed = this.#allowed(ms);
      t.ok(bytes <= allowed, `${who}: ${bytes} bytes in ${ms.toFixed(0)} ms, allowed ${allowed.toFixed(0)}`);
      heard += bytes;
    }
    t.ok(heard >= SOME_BYTES, `${who}: something passed`);
  }

  /** Some turn exceeds what the rate would allow. */
  async exceed(t: Test, who: string, at: Actor, talk: () => Promise<unknown>): Promise<void> {
    for (let turn = 0; turn < TURNS; turn += 1) {
      const { bytes, ms } = await measure(at, talk);
      if (bytes <= this.#allowed(ms)) continue;
      t.pass(`${who}: ${bytes} bytes in ${ms.toFixed(0)} ms`);
      return;
    }
    t.fail(`${who}: no faster than the rate`);
  }

  #allowed(ms: number): number {
    return this.#burstBytes + ms * BYTES_PER_MS;
  }
}

/** Until it is so; throws when it does not become so. */
async function until(isSo: () => Promise<boolean>): Promise<void> {
  for (const endMs = performance.now() + FLOOD_MS / 2; !(await isSo()); await sleep(50))
    if (performance.now() > endMs) throw new Error("it does not become so");
}

/** In a lab of one node, whose slots 0 and 1 they take. */
export async function boundCases(t: Test, lab: Lab, kind: DataPath["kind"]): Promise<void> {
  const { node, guests, neighbour, client, limit } = await setUp(lab);
  const [guest, other] = guests;
  const bounds = new Bounds(kind);
  const send = (): Promise<unknown> => guest.call("sendTcp", CLIENT, PORT, MS);
  const receive = (): Promise<unknown> => client.call("sendTcp", node.address, PORT, MS);
  await limit(MBIT_PER_S);

  t.test("streams of a server and of a client, in and out, also after the daemon was killed", async (t) => {
    await node.start();
    const serve = (): Promise<unknown> => client.call("takeTcp", node.address, PORT + 1, MS);
    await Promise.all([
      bounds.hold(t, "sent", client, () => Promise.all([send(), serve()])),
      bounds.hold(t, "received", guest, receive),
    ]);
  });

  t.test("datagrams, in and out; a neighbour without a rate has none", async (t) => {
    const both = (): Promise<unknown> =>
      Promise.all(guests.map((each) => each.call("flood", CLIENT, PORT, MS)));
    await Promise.all([
      bounds.hold(t, "sent", client, both),
      bounds.hold(t, "received", guest, () => client.call("flood", node.address, PORT, MS)),
    ]);
    await bounds.exceed(t, "the neighbour sent", client, () => neighbour.call("sendTcp", CLIENT, PORT, MS));
  });

  t.test("the agent gets in while the domain sends and receives all it can", async (t) => {
    const dropped = (): Promise<number> => node.counter("rate_exceeded", 1);
    const before = await dropped();
    const floods = [
      guest.call("flood", CLIENT, PORT, FLOOD_MS),
      other.call("flood", CLIENT, PORT, FLOOD_MS),
      client.call("flood", node.address, PORT, FLOOD_MS),
    ];
    await until(async () => (await dropped()) > before);
    for (let turn = 0; turn < 5; turn += 1) {
      const { id, greeting } = await node.host.connect("169.254.128.1", 22);
      t.match(greeting, /^sshd 169\.254\.1\.1:/);
      t.equal(await node.host.echo(id, "still"), "still");
    }
    const meanwhile = await dropped();
    await until(async () => (await dropped()) > meanwhile);
    t.pass("it did all the while");
    await Promise.all([guest, other, client].map((each) => each.call("stop")));
    await Promise.all(floods);
    t.equal(await node.counter("rate_exceeded", 2), 0, "nothing of the neighbour's was dropped");
  });

  t.test("without its rate it is as free as its neighbour", async (t) => {
    await limit();
    await Promise.all([bounds.exceed(t, "sent", client, send), bounds.exceed(t, "received", guest, receive)]);
  });
}
