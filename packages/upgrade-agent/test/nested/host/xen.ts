/** An emulated machine whose hypervisor is Xen 4.17 and whose first domain is a Debian with a libvirt of its own. */
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { gunzipSync } from "node:zlib";
import type { Test } from "tap";
import { storeIn } from "../../image/needs.ts";
import { startHost } from "./machine.ts";
import type { Host } from "./machine.ts";
import { imageTrees, repositoryTree } from "./payload.ts";
import { buildRoot, hostPackages } from "./root.ts";
import type { HostRoot } from "./root.ts";

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

/**
 * With other models dom0 crashes. npt: guests in hardware need nested pages here. rdtscp: the emulator reports it to
 * Xen as another instruction, and Xen kills the guest.
 */
const cpu = "Opteron_G3,+npt,-rdtscp";

/** Memory of all, and what the first domain has of it; the rest is for guests. */
interface Size {
  /**
   * The first domain has one of them for itself: two that wait for one another on a busy machine are slower, and Xen's
   * tools give up on their scripts after 40 s.
   */
  readonly vcpus: number;
  readonly memoryMiB: number;
  readonly dom0MiB: number;
}

/** Xen is the kernel that QEMU boots by Multiboot; Linux and its initramfs are Xen's modules. */
function bootXen(
  root: HostRoot,
  directory: string,
  dom0MiB: number,
): (commandLine: string) => readonly string[] {
  const xen = join(directory, "xen");
  writeFileSync(xen, gunzipSync(readFileSync(join(root.boot, "xen-4.17-amd64.gz"))));
  return (commandLine) => {
    const dom0 = `dom0_mem=${dom0MiB}M,max:${dom0MiB}M dom0_max_vcpus=1 dom0_vcpus_pin`;
    const words = `${dom0} console=com1 com1=115200,8n1 loglvl=warning spec-ctrl=no xpti=no pv-l1tf=0`;
    // QEMU reads two commas as one that does not end a module.
    const linux = commandLine.replace("console=ttyS0", "console=hvc0").replaceAll(",", ",,");
    return ["-kernel", xen, "-append", words, "-initrd", `${root.kernel} ${linux},${root.initramfs}`];
  };
}

/** With the base image of this machine, so that the one inside builds none. It ends with `t`. */
export async function startXenHost(
  t: Test,
  { vcpus, memoryMiB, dom0MiB }: Size = { vcpus: 1, memoryMiB: 4_096, dom0MiB: 2_560 },
): Promise<{ readonly host: Host; readonly directory: string }> {
  const onProgress = (step: string): void => t.comment(step);
  const directory = mkdtempSync(join(tmpdir(), "itx-"));
  t.teardown(() => rmSync(directory, { recursive: true }));
  const base = await storeIn(directory).build({ onProgress });
  const root = await buildRoot({ packages, onProgress });
  const payload = [repositoryTree(), ...imageTrees(base)];
  const boot = bootXen(root, directory, dom0MiB);
  const size = { cpu, vcpus, memoryMiB };
  const host = await startHost({ name: "xen", root, payload, ...size, modules, boot, onProgress });
  t.teardown(() => host.stop());
  return { host, directory };
}
