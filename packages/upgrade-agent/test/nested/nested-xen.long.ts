/**
 * Real Xen, where there is none: the probe and the compliance suite in an emulated machine (TCG) that Xen runs, for both
 * kinds of guests. Twenty minutes on two cores; needs root and 5 GiB.
 */
import t from "tap";
import { readRecords } from "../domain/capabilities/record.ts";
import { skip } from "./host/kvm.ts";
import { keepRecord, reportInside } from "./host/report.ts";
import { startXenHost } from "./host/xen.ts";

t.setTimeout(3_600_000);

t.test("a machine with real Xen", { skip }, async (t) => {
  const { host, directory } = await startXenHost(t);
  const look = (command: string): Promise<string> =>
    host.run(command, { timeoutMs: 300_000 }).then(({ output }) => output);

  await t.test("this is Xen's first domain, and libvirt speaks to Xen", async (t) => {
    const toolstack = "node /repository/packages/upgrade-agent/test/nested/inside/xen-toolstack.ts libvirtd";
    const { status, output } = await host.run(toolstack, { timeoutMs: 300_000 });
    t.equal(status, 0, output);
    const seen = await look("cat /proc/xen/capabilities; timeout 60 xl info; uname -r");
    t.match(seen, /^control_d$/m);
    t.match(seen, /^xen_version +: 4\.17/m);
    t.match(seen, /^virt_caps +: pv hvm hap/m);
    t.comment(seen);
  });

  const base = await look("dirname /var/cache/version-manager/images/*/vmlinux");
  const suite = "packages/upgrade-agent/test/nested/inside/xen.ts";

  await t.test("probe and compliance suite, paravirtual guests", async (t) => {
    await reportInside(t, host, suite, base, "pv");
    const records = await keepRecord(host, "xen", directory);
    const record = readRecords(records).find(({ hypervisor }) => hypervisor === "xen");
    t.ok(Object.keys(record?.capabilities ?? {}).length > 5, "its record is here");
  });

  await t.test("the suite again, guests that the processor holds apart", async (t) => {
    await reportInside(t, host, suite, base, "pvh");
  });
});
