/** Every call of the control API, through a real unix socket. */
import { stat } from "node:fs/promises";
import { request } from "node:http";
import t from "tap";
import type { Test } from "tap";
import { RouterError } from "../../errors.ts";
import { serviceTag } from "../../mark/index.ts";
import { collect, startNode } from "./harness.ts";

const kv1 = { service: "kv", version: 1 };
const kv2 = { service: "kv", version: 2 };
const ports = { peer: ["tcp/7000", "udp/7001"], client: ["tcp/8080"] } as const;

t.test("an attached domain is in the status, with a slot of its own", async (t) => {
  const { client } = await startNode(t);
  const first = await client.attachDomain({ ...kv1, kind: "tap" });
  const second = await client.attachDomain({ ...kv2, kind: "veth" });
  t.not(first.managementAddress, second.managementAddress);
  t.same(await client.attachDomain({ ...kv1, kind: "tap" }), first, "attaching again changes nothing");
  const status = await client.status();
  t.match(status, { dataPath: "kernel", serviceAddress: "127.0.0.1", uplink: "lo", pid: process.pid });
  t.match(status.domains, [
    { ...kv1, link: first },
    { ...kv2, link: second },
  ]);
  await t.rejects(client.attachDomain({ ...kv1, kind: "veth" }), { code: "E_BAD_REQUEST" });
});

t.test("a domain's rate is what it was last attached with", async (t) => {
  const { client } = await startNode(t);
  const link = await client.attachDomain({ ...kv1, kind: "tap", networkMbitPerS: 8 });
  await client.registerPorts(kv1, ports);
  t.match((await client.status()).domains, [{ ...kv1, link, networkMbitPerS: 8 }]);
  for (const networkMbitPerS of [0, 1.5, -8, 100_001, Infinity])
    await t.rejects(client.attachDomain({ ...kv1, kind: "tap", networkMbitPerS }), { code: "E_BAD_REQUEST" });
  t.same(await client.attachDomain({ ...kv1, kind: "tap", networkMbitPerS: 100_000 }), link);
  t.match((await client.status()).domains, [{ networkMbitPerS: 100_000, ports }]);
  t.same(await client.attachDomain({ ...kv1, kind: "tap" }), link);
  t.same((await client.status()).domains, [{ ...kv1, link, ports }]);
});

t.test("a detached domain frees its slot and closes the way to it; detaching again is fine", async (t) => {
  const { client } = await startNode(t);
  const link = await client.attachDomain({ ...kv1, kind: "tap" });
  await client.setClientPath("kv", { kind: "direct", version: 1 });
  await client.detachDomain(kv1);
  await client.detachDomain(kv1);
  t.same((await client.status()).clientPaths, { kv: { kind: "closed" } });
  t.same(await client.attachDomain({ service: "web", version: 9, kind: "tap" }), link);
});

t.test("attaching two at once gives two slots; the 65th domain is refused", async (t) => {
  const { client } = await startNode(t);
  const links = await Promise.all(
    Array.from({ length: 64 }, (_, index) =>
      client.attachDomain({ service: "kv", version: index + 1, kind: "tap" }),
    ),
  );
  t.equal(new Set(links.map((link) => link.interfaceName)).size, 64);
  await t.rejects(client.attachDomain({ service: "kv", version: 65, kind: "tap" }), {
    code: "E_TOO_MANY_DOMAINS",
  });
});

t.test("a failed attachment takes no slot", async (t) => {
  const { client, dataPath } = await startNode(t);
  dataPath.failNext = new RouterError("E_KERNEL", "no");
  await t.rejects(client.attachDomain({ ...kv1, kind: "tap" }), { code: "E_KERNEL", message: "no" });
  t.match(await client.status(), { domains: [] });
});

t.test("an unforeseen failure is E_KERNEL, and in the log rather than in the answer", async (t) => {
  const { client, dataPath, logged } = await startNode(t);
  dataPath.failNext = new Error("secret detail");
  const error = await client.attachDomain({ ...kv1, kind: "tap" }).catch((caught: unknown) => caught);
  t.match(error, { code: "E_KERNEL" });
  t.notMatch(error, /secret/);
  t.match(logged, [/secret detail/]);
});

t.test("ports add up, whoever registers them", async (t) => {
  const { client } = await startNode(t);
  await t.rejects(client.registerPorts(kv1, ports), { code: "E_NO_DOMAIN" });
  await client.attachDomain({ ...kv1, kind: "tap" });
  await client.registerPorts(kv1, ports);
  await client.registerPorts(kv1, { peer: ["tcp/6000"], client: [] });
  await client.registerPorts(kv1, ports);
  t.same((await client.status()).domains[0]?.ports, {
    peer: ["tcp/6000", "tcp/7000", "udp/7001"],
    client: ["tcp/8080"],
  });
});

t.test("a port that is taken is refused with its holder, and nothing is registered", async (t) => {
  const { client } = await startNode(t);
  await client.attachDomain({ ...kv1, kind: "tap" });
  await client.registerPorts(kv1, ports);
  await client.attachDomain({ service: "web", version: 4, kind: "tap" });
  const web = { service: "web", version: 4 };
  await t.rejects(client.registerPorts(web, { peer: ["tcp/9000"], client: ["tcp/8080"] }), {
    code: "E_PORT_TAKEN",
    message: /tcp\/8080.*kv.*version 1/,
  });
  for (const reserved of ["tcp/22", "udp/4078", "tcp/4077", "tcp/4080", "tcp/4081"] as const) {
    await t.rejects(client.registerPorts(web, { peer: [], client: [reserved] }), { code: "E_PORT_TAKEN" });
  }
  t.same((await client.status()).domains[1]?.ports, { peer: [], client: [] });
  await client.detachDomain(kv1);
  await client.registerPorts(web, { peer: [], client: ["tcp/8080"] });
});

t.test("the client path wants a domain to lead to", async (t) => {
  const { client } = await startNode(t);
  await t.rejects(client.setClientPath("kv", { kind: "direct", version: 1 }), { code: "E_NO_DOMAIN" });
  await client.attachDomain({ ...kv1, kind: "tap" });
  await client.setClientPath("kv", { kind: "direct", version: 1 });
  await client.setClientPath("web", { kind: "proxy" });
  t.same((await client.status()).clientPaths, { kv: { kind: "direct", version: 1 }, web: { kind: "proxy" } });
});

t.test("a policy is kept until it is set again, and must be known", async (t) => {
  const { client, dataPath } = await startNode(t);
  t.same((await client.status()).policies, {});
  await client.setPolicy("kv", { unmanagedPeers: "allow" });
  t.same((await client.status()).policies, { kv: { unmanagedPeers: "allow" } });
  await client.setPolicy("kv", { unmanagedPeers: "deny" });
  t.same((await client.status()).policies, {});
  const wrong = { unmanagedPeers: "perhaps" } as unknown as { unmanagedPeers: "allow" };
  await t.rejects(client.setPolicy("kv", wrong), { code: "E_BAD_REQUEST" });
  Object.assign(dataPath, { setPolicy: undefined, policies: undefined });
  await client.setPolicy("kv", { unmanagedPeers: "deny" });
  await t.rejects(client.setPolicy("kv", { unmanagedPeers: "allow" }), { code: "E_BAD_REQUEST" });
  t.same((await client.status()).policies, {});
});

t.test("direct connections are counted and reset", async (t) => {
  const { client, dataPath } = await startNode(t);
  await t.rejects(client.directConnections(kv1), { code: "E_NO_DOMAIN" });
  await client.attachDomain({ ...kv1, kind: "tap" });
  dataPath.setConnections(0, 3);
  t.same(await client.directConnections(kv1), { open: 3 });
  t.same(await client.resetDirectConnections(kv1), { reset: 3 });
  t.same(await client.resetDirectConnections(kv1), { reset: 0 });
});

t.test("advertisements reach the data path in turns", async (t) => {
  const { client, dataPath } = await startNode(t);
  await client.attachDomain({ ...kv1, kind: "tap" });
  const seen = new Set<number | undefined>();
  await client.setAdvertisements("kv", [
    { version: 1, status: "running" },
    { version: 2, status: "available" },
  ]);
  await eventually(t, () => {
    seen.add(dataPath.advertisements.get(serviceTag("kv"))?.version);
    return seen.has(1) && seen.has(2);
  });
  await client.setAdvertisements("kv", []);
  await eventually(t, () => dataPath.advertisements.get(serviceTag("kv")) === undefined);
});

t.test("managed peers are those of the configuration and the agent's, but not this node", async (t) => {
  const { client, dataPath } = await startNode(t, { peers: ["127.0.0.2"] });
  t.same(dataPath.managedPeers, ["127.0.0.2"]);
  await client.setManagedPeers(["127.0.0.3", "127.0.0.1"]);
  t.same(dataPath.managedPeers, ["127.0.0.2", "127.0.0.3"]);
});

t.test("two services with the same tag cannot both be here", async (t) => {
  const { client } = await startNode(t);
  const [a, b] = twins();
  await client.attachDomain({ service: a, version: 1, kind: "tap" });
  await t.rejects(client.attachDomain({ service: b, version: 1, kind: "tap" }), { code: "E_BAD_REQUEST" });
  await t.rejects(client.setAdvertisements(b, [{ version: 1, status: "available" }]), {
    code: "E_BAD_REQUEST",
  });
});

t.test("what a mark taught is news once, and told to everyone who comes later", async (t) => {
  const { client, dataPath } = await startNode(t);
  await client.attachDomain({ ...kv1, kind: "tap" });
  await client.registerPorts(kv1, ports);
  const mark = {
    peerAddress: "127.0.0.7",
    tag: serviceTag("kv"),
    senderVersion: 2,
    advertisement: { version: 2, status: "running" },
    lastHeardMs: 5,
  } as const;
  const expected = [
    { type: "registered", ...kv1, ports },
    {
      type: "heard",
      service: "kv",
      peerAddress: "127.0.0.7",
      senderVersion: 2,
      advertisement: { version: 2, status: "running" },
    },
  ];
  const live = collect(client, (events) => events.length === 2);
  dataPath.marks.push(mark);
  t.same(await live, expected);
  t.same(await collect(client, (events) => events.length === 2), expected);
});

t.test("wrong requests name every fault", async (t) => {
  const { client, config } = await startNode(t);
  await t.rejects(client.attachDomain({ service: "K V", version: 0, kind: "tap" }), {
    code: "E_BAD_REQUEST",
  });
  await t.rejects(client.setManagedPeers(["nowhere", "10.0.0.1", "256.1.1.1"]), { message: /\[0\].*\[2\]/ });
  await t.rejects(
    client.setAdvertisements("kv", [
      { version: 1, status: "running" },
      { version: 1, status: "retired" },
    ]),
    { message: /once/ },
  );
  const unknownKey = await raw(config.socket, "PUT", "/v1/domains/kv/1", '{"kind":"tap","mtu":9}');
  t.match(unknownKey, { status: 400, text: /mtu/ });
  t.match(await raw(config.socket, "PUT", "/v1/domains/kv/0x1", '{"kind":"tap"}'), { status: 400 });
  t.match(await raw(config.socket, "PUT", "/v1/domains/kv/1", "{"), { status: 400, text: /JSON/ });
  t.match(await raw(config.socket, "PUT", "/v1/peers", `"${"x".repeat(2_100_000)}"`), {
    status: 400,
    text: /bytes/,
  });
  t.match(await raw(config.socket, "GET", "/v2"), { status: 400, text: /nothing/ });
  t.match(await raw(config.socket, "PATCH", "/v1/status"), { status: 400, text: /GET/ });
});

t.test("the socket is for its owner only", async (t) => {
  const { config } = await startNode(t);
  t.equal((await stat(config.socket)).mode & 0o777, 0o600);
});

t.test("metrics in Prometheus' format", async (t) => {
  const { client, config, dataPath } = await startNode(t);
  await client.attachDomain({ ...kv1, kind: "tap" });
  await client.setClientPath("kv", { kind: "direct", version: 1 });
  dataPath.verdicts.push({ service: "kv", version: 1, verdict: "delivered", packets: 7, bytes: 700 });
  const { text } = await raw(config.socket, "GET", "/metrics");
  t.match(text, /^version_router_packets_total\{service="kv",version="1",verdict="delivered"\} 7$/m);
  t.match(text, /^version_router_client_path\{service="kv",version="1"\} 1$/m);
  t.match(text, /^# TYPE version_router_gossip_facts gauge$/m);
});

async function eventually(t: Test, holds: () => boolean): Promise<void> {
  for (let tries = 0; tries < 200 && !holds(); tries += 1)
    await new Promise((resolve) => setTimeout(resolve, 50));
  t.ok(holds());
}

function raw(
  socketPath: string,
  method: string,
  path: string,
  body = "",
): Promise<{ status: number; text: string }> {
  return new Promise((resolve, reject) => {
    const sent = request({ socketPath, method, path, agent: false }, (response) => {
      let text = "";
      response.on("data", (chunk: Buffer) => (text += chunk.toString()));
      response.on("end", () => resolve({ status: response.statusCode ?? 0, text }));
    });
    sent.once("error", reject);
    sent.end(body);
  });
}

function twins(): [string, string] {
  const byTag = new Map<number, string>();
  for (let index = 0; ; index += 1) {
    const name = `s${index}`;
    const twin = byTag.get(serviceTag(name));
    if (twin !== undefined) return [twin, name];
    byTag.set(serviceTag(name), name);
  }
}

t.test("a hundred thousand managed peers are taken", async (t) => {
  const { client, dataPath } = await startNode(t);
  const peers = Array.from(
    { length: 100_000 },
    (_, index) => `10.${index >> 16}.${(index >> 8) & 255}.${index & 255}`,
  );
  await client.setManagedPeers(peers);
  t.equal(dataPath.managedPeers.length, 100_000);
  await t.rejects(client.setManagedPeers([...peers, "10.9.9.9"]), { code: "E_BAD_REQUEST" });
});
