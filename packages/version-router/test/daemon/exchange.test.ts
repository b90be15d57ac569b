/** Direct marks between two daemons, and what else may arrive at their port. */
import { createSocket } from "node:dgram";
import t from "tap";
import { encodeDirectMark } from "../../gossip/direct-mark.ts";
import { collect, freePort, startNode } from "./harness.ts";
import type { TestNode } from "./harness.ts";

async function send(node: TestNode, from: string, datagrams: readonly Uint8Array[]): Promise<void> {
  const socket = createSocket("udp4");
  await new Promise<void>((resolve) => socket.bind(0, from, resolve));
  const { exchangePort, serviceAddress } = node.config;
  for (const datagram of datagrams) {
    await new Promise((resolve) => socket.send(datagram, exchangePort, serviceAddress, resolve));
  }
  socket.close();
}

t.test("an idle service's new version becomes known to the other node", async (t) => {
  const exchangePort = await freePort();
  const one = await startNode(t, { exchangePort, peers: ["127.0.0.2"] });
  const two = await startNode(t, { exchangePort, serviceAddress: "127.0.0.2", peers: ["127.0.0.1"] });
  for (const { client } of [one, two]) await client.attachDomain({ service: "kv", version: 1, kind: "tap" });
  await one.client.setAdvertisements("kv", [
    { version: 1, status: "running" },
    { version: 2, status: "available" },
  ]);
  const isNews = (version: number) => (event: { type: string }) =>
    "advertisement" in event && (event.advertisement as { version: number }).version === version;
  const events = await collect(two.client, (all) => all.some(isNews(2)));
  t.match(events.find(isNews(2)), {
    type: "heard",
    service: "kv",
    peerAddress: "127.0.0.1",
    senderVersion: 1,
    advertisement: { version: 2, status: "available" },
  });
});

t.test("a service that this node has never heard of is news too: its name is in the datagram", async (t) => {
  const node = await startNode(t);
  const advertisements = [{ version: 3, status: "available" as const }];
  await send(node, "127.0.0.5", [encodeDirectMark({ service: "web", senderVersion: 3, advertisements })]);
  t.match(await collect(node.client, (all) => all.length === 1), [
    { service: "web", peerAddress: "127.0.0.5" },
  ]);
});

t.test("a peer that runs what is retired here is marked as obsolete", async (t) => {
  const node = await startNode(t);
  await node.client.setAdvertisements("kv", [
    { version: 1, status: "retired" },
    { version: 2, status: "available" },
  ]);
  const advertisements = [{ version: 1, status: "running" as const }];
  await send(node, "127.0.0.5", [encodeDirectMark({ service: "kv", senderVersion: 1, advertisements })]);
  t.match(await collect(node.client, (all) => all.length === 1), [
    { senderObsolete: true, senderVersion: 1 },
  ]);
});

t.test("nonsense and floods are counted, and the daemon goes on", async (t) => {
  const node = await startNode(t);
  const valid = (version: number) =>
    encodeDirectMark({
      service: "kv",
      senderVersion: version,
      advertisements: [{ version, status: "running" }],
    });
  await send(node, "127.0.0.5", [new Uint8Array(), new Uint8Array(2000), new Uint8Array([0x56, 0x52])]);
  await send(
    node,
    "127.0.0.6",
    Array.from({ length: 2_000 }, (_, index) => valid(index + 1)),
  );
  await node.client.attachDomain({ service: "kv", version: 1, kind: "tap" });
  const events = await collect(node.client, (all) => all.length >= 2);
  t.ok(events.every((event) => event.type === "heard" && event.peerAddress === "127.0.0.6"));
  t.match(await node.client.status(), { domains: [{ service: "kv" }] });
});
