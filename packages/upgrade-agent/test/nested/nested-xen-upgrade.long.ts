/**
 * A live upgrade in paravirtual guests on real Xen, in an emulated machine that Xen runs: a node of a testbed in
 * its first domain, with a libvirtd of its own and the router's programs on its guests' links, clients of registers. Needs
 * root and 5 GiB.
 */
import t from "tap";
import { skip } from "./host/kvm.ts";
import { upgradeInside } from "./host/upgrade.ts";
import { startXenHost } from "./host/xen.ts";

t.setTimeout(3_600_000);

/** A processor for the first domain, in which all of a node runs, and one for guests. */
const size = { vcpus: 2, memoryMiB: 4_608, dom0MiB: 2_560 };

t.test("a live upgrade on real Xen", { skip }, async (t) => {
  const { host } = await startXenHost(t, size);
  const daemons = "node /repository/packages/upgrade-agent/test/nested/inside/xen-toolstack.ts";
  t.match(await host.run(daemons, { timeoutMs: 300_000 }), { status: 0 });
  await upgradeInside(t, host, { kind: "xen", nodes: 2, start: /booted, not cloned/ });
  const { output } = await host.run("xl list | tail -n +3; ls /var/log/xen/console", { timeoutMs: 60_000 });
  t.equal(output, "", "no guest is left, nor the way of a console");
});
