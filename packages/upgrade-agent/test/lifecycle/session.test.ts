/** Which link a session to a domain goes over. */
import t from "tap";
import type { DomainLink, RouterControl } from "@version-manager/version-router";
import { FakeHypervisor } from "../../domain/index.ts";
import type { ReleaseStore } from "../../release/index.ts";
import { linkOf } from "../../lifecycle/works/session.ts";

function link(managementAddress: string): DomainLink {
  const mac = "52:54:00:00:00:01";
  const addresses = { address: "10.0.0.1", gateway: "169.254.1.1", managementAddress };
  return { interfaceName: "vm-1", mac, ...addresses, mtu: 1484, ephemeralPorts: [1024, 2047] };
}

/** A router that has these domains and gives every other one the address 9.9.9.9. */
function routerWith(domains: readonly (readonly [string, number, string])[]) {
  const attached: string[] = [];
  const listed = domains.map(([service, version, address]) => ({ service, version, link: link(address) }));
  const router = {
    status: () => Promise.resolve({ domains: listed }),
    attachDomain: (key: { service: string; version: number; kind: string; networkMbitPerS?: number }) => {
      attached.push(`${key.service} ${key.version} ${key.kind} ${key.networkMbitPerS ?? "free"}`);
      return Promise.resolve(link("9.9.9.9"));
    },
  } as unknown as RouterControl;
  // Odd versions have a rate.
  const releases = {
    metadata: (service: string, version: number) => {
      const limits = version % 2 === 1 ? { networkMbitPerS: 40 } : {};
      return Promise.resolve({ statement: { manifest: { service, version, ...limits } } });
    },
  } as unknown as ReleaseStore;
  return { attached, context: { router, releases, hypervisor: new FakeHypervisor() } };
}

t.test("a link that the router has is not attached again", async (t) => {
  const { attached, context } = routerWith([
    ["kv", 1, "1.1.1.1"],
    ["kv", 2, "2.2.2.2"],
    ["orders", 2, "3.3.3.3"],
  ]);
  t.equal((await linkOf(context, "kv", 2)).managementAddress, "2.2.2.2");
  t.equal((await linkOf(context, "orders", 2)).managementAddress, "3.3.3.3");
  t.same(attached, []);
});

t.test(
  "one that it does not have is attached, of the hypervisor's kind, at the release's rate",
  async (t) => {
    const { attached, context } = routerWith([["kv", 1, "1.1.1.1"]]);
    const kind = context.hypervisor.linkKind;
    t.equal((await linkOf(context, "kv", 2)).managementAddress, "9.9.9.9");
    await linkOf(context, "kv", 3);
    t.same(attached, [`kv 2 ${kind} free`, `kv 3 ${kind} 40`]);
  },
);
