/** The real `vm-router` on two nodes that know each other by their IPv6 addresses only. */
import t from "tap";
import type { RouterEvent } from "../../control/contract.ts";
import { udpAsk, udpServer, whyNoNamespaces, Wire } from "./namespaces.ts";

const kv1 = { service: "kv", version: 1 };
const skip = whyNoNamespaces();

if (skip !== false) {
  t.plan(0, skip);
} else {
  // In another spelling than the router's own.
  const wire = new Wire({ peers: ["FD10:79:0::1", "fd10:0079::2"] }, true);
  const [one, two] = wire.nodes;
  t.teardown(() => wire.close());
  const stop = new AbortController();
  t.teardown(() => stop.abort());
  const domains: string[] = [];

  t.test("domains bear the node's IPv6 address", async (t) => {
    for (const node of wire.nodes) {
      node.start();
      const link = await node.client.attachDomain({ ...kv1, kind: "veth" });
      t.match(link, { address: node.address, address6: node.address6, gateway6: "fe80::1" });
      domains.push(wire.domain(node, link));
      await node.client.registerPorts(kv1, { peer: ["udp/7001"], client: [] });
      t.match(await node.client.status(), { serviceAddress: node.address, serviceAddress6: node.address6 });
    }
  });

  t.test(
    "datagrams between them are marked and delivered; flows and counters are found by address",
    async (t) => {
      const [first = "", second = ""] = domains;
      const server = udpServer(second, 7001, "two");
      t.teardown(() => void server.kill());
      t.equal(await udpAsk(first, two.address6, 7001), `two ${one.address6}`);
      const { counters } = await two.client.status();
      t.ok(counters.some(({ verdict, packets }) => verdict === "delivered" && packets > 0));
      const peers = await two.client.peerCounters();
      t.ok(peers.some(({ peerAddress, verdict }) => peerAddress === one.address6 && verdict === "delivered"));
      t.same(
        await two.client.flows({ peer: "FD10:79:0:0::1" }),
        { flows: [], notShown: 0 },
        "peers' datagrams",
      );
    },
  );

  t.test("direct marks go over IPv6, too", async (t) => {
    await one.client.setAdvertisements("kv", [
      { version: 1, status: "running" },
      { version: 2, status: "available" },
    ]);
    const deadline = AbortSignal.any([stop.signal, AbortSignal.timeout(60_000)]);
    let heard: RouterEvent | undefined;
    for await (const event of two.client.events(deadline)) {
      heard = event;
      if (event.type === "heard" && event.advertisement.version === 2) break;
    }
    t.match(heard, { type: "heard", peerAddress: one.address6, advertisement: { version: 2 } });
  });

  t.test("a dead router leaves the domains their IPv6, and the next takes everything up", async (t) => {
    await two.stop("SIGKILL");
    const server = udpServer(domains[1] ?? "", 7001, "two");
    t.teardown(() => void server.kill());
    t.equal(await udpAsk(domains[0] ?? "", two.address6, 7001), `two ${one.address6}`);
    two.start();
    t.match(await two.client.status(), { domains: [{ ...kv1, link: { address6: two.address6 } }] });
  });
}
