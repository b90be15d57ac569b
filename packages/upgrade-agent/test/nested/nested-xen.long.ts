/**
 * Real Xen, where there is none: an emulated machine (TCG) that boots Xen 4.17 and a Debian as its first domain, with a
 * libvirtd of its own. The probe, the compliance suite and one whole upgrade run in it. Half an hour on two cores; needs
 * root and 6 GiB.
 */
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { gunzipSync } from "node:zlib";
import t from "tap";
import { readRecords } from "../domain/capabilities/record.ts";
import { missing, storeIn } from "../image/needs.ts";
import type { Report } from "../whole/demonstration.ts";
import { startHost } from "./host/machine.ts";
import type { Host } from "./host/machine.ts";
import { imageTrees, repositoryTree } from "./host/payload.ts";
import { keepRecord, reportInside } from "./host/report.ts";
import { buildRoot, hostPackages } from "./host/root.ts";
import type { HostRoot } from "./host/root.ts";

t.setTimeout(3_600_000);

const skip = missing("mmdebstrap", "qemu-system-x86_64", "qemu-img", "ssh", "mke2fs", "setpriv");

const packages = [
  ...hostPackages,
  "libvirt-daemon-driver-xen",
  "qemu-system-xen",
  "xen-hypervisor-4.17-amd64",
  "xen-utils-4.17",
];

const modules = [
  "xen-privcmd",
  "xenfs",
  "xen-evtchn",
  "xen-gntdev",
  "xen-gntalloc",
  "xen-netback",
  "xen-blkback",
  "tun",
  "veth",
  "bridge",
  "nf_tables",
  "sch_ingress",
  "cls_bpf",
  "act_bpf",
];

const [memoryMiB, dom0MiB] = [5_120, 3_072];
const vcpus = 2;

/**
 * With other models dom0 crashes. npt: guests in hardware need nested pages here. rdtscp: the emulator reports it to
 * Xen as another instruction, and Xen kills the guest.
 */
const cpu = "Opteron_G3,+npt,-rdtscp";

/** Xen is the kernel that QEMU boots by Multiboot; Linux and its initramfs are Xen's modules. */
function bootXen(root: HostRoot, directory: string): (commandLine: string) => readonly string[] {
  const xen = join(directory, "xen");
  writeFileSync(xen, gunzipSync(readFileSync(join(root.boot, "xen-4.17-amd64.gz"))));
  return (commandLine) => {
    const dom0 = `dom0_mem=${dom0MiB}M,max:${dom0MiB}M`;
    const words = `${dom0} console=com1 com1=115200,8n1 loglvl=warning spec-ctrl=no xpti=no pv-l1tf=0`;
    // QEMU reads two commas as one that does not end a module.
    const linux = commandLine.replace("console=ttyS0", "console=hvc0").replaceAll(",", ",,");
    return ["-kernel", xen, "-append", words, "-initrd", `${root.kernel} ${linux},${root.initramfs}`];
  };
}

/** With the base image of this machine, so that the one inside builds none. */
async function start(directory: string, onProgress: (step: string) => void): Promise<Host> {
  const base = await storeIn(directory).build({ onProgress });
  const root = await buildRoot({ packages, onProgress });
  const payload = [repositoryTree(), ...imageTrees(base)];
  const boot = bootXen(root, directory);
  return startHost({ name: "xen", root, payload, cpu, vcpus, memoryMiB, modules, boot, onProgress });
}

t.test("a machine with real Xen", { skip }, async (t) => {
  const directory = mkdtempSync(join(tmpdir(), "itx-"));
  t.teardown(() => rmSync(directory, { recursive: true }));
  const host = await start(directory, (step) => t.comment(step));
  t.teardown(() => host.stop());

  await t.test("it is Xen's first domain, and libvirt speaks to Xen", async (t) => {
    const toolstack = "node /repository/packages/upgrade-agent/test/nested/inside/xen-toolstack.ts";
    const { status, output } = await host.run(toolstack, { timeoutMs: 300_000 });
    t.equal(status, 0, output);
    const seen = await host.run("cat /proc/xen/capabilities; xl info; xl list; uname -r", {
      timeoutMs: 60_000,
    });
    t.match(seen.output, /^control_d$/m);
    t.match(seen.output, /^xen_version +: 4\.17/m);
    t.match(seen.output, /^virt_caps +: pv hvm hap/m);
    t.comment(seen.output);
  });

  const find = "echo /var/cache/version-manager/images/*/vmlinux";
  const { output: kernel } = await host.run(find, { timeoutMs: 60_000 });
  const base = kernel.replace(/\/vmlinux$/, "");
  const inside = "packages/upgrade-agent/test/nested/inside/xen.ts";

  await t.test("probe and compliance suite, paravirtual guests", async (t) => {
    await reportInside(t, host, inside, base, "pv");
    await keepRecord(host, "xen", directory);
    const records = readRecords(process.env["COMPLIANCE_RECORDS"] ?? directory);
    const record = records.find(({ hypervisor }) => hypervisor === "xen");
    t.ok(Object.keys(record?.capabilities ?? {}).length > 5, "the record is here");
  });

  await t.test("the suite again, guests that the processor holds apart", async (t) => {
    await reportInside(t, host, inside, base, "pvh");
  });

  await t.test("a live upgrade of two nodes", async (t) => {
    const words = "--json --hypervisor xen --nodes 2 --rate 10";
    const command = `cd /repository && node scripts/dist/demonstration/main.js ${words}`;
    const onLine = (line: string): void => t.comment(line);
    const { status, output } = await host.run(command, { timeoutMs: 3_000_000, onLine });
    t.equal(status, 0, "the demonstration succeeds");
    const line = output.split("\n").find((text) => text.startsWith("{")) ?? "null";
    const report = JSON.parse(line) as Report | null;
    t.match(report, { hypervisor: "xen", nodes: 2, upgraded: 2, failed: 0 });
    t.ok((report?.requests ?? 0) > 100, `${report?.requests} requests`);
    t.ok(report?.isolation.every((proof) => proof.onlyItsOwnKind));
    t.ok(report?.verified.every(({ facts }) => facts.keys > 10 && facts.failed === 0));
  });
});
