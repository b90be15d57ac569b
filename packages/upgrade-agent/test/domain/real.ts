/**
 * Real domains for integration tests: what has to be there, links, tiny guests, and how they are made to end. The same
 * for every hypervisor: `machines(daemon, home, "kvm")` inside a machine that has it is what `"qemu"` is elsewhere. To
 * fill a column of docs/HYPERVISORS.md, hand the subject to `compliance` with COMPLIANCE_RECORDS and COMPLIANCE_HOST set
 * (`capabilities/run.ts`), bring the record to docs/hypervisors, and run `node capabilities/main.ts`.
 */
import { execFileSync } from "node:child_process";
import { chownSync, cpSync, existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { release } from "node:os";
import { join } from "node:path";
import type { PrivateLibvirtd } from "@version-manager/testbed/libvirt";
import type { DomainSpec, Hypervisor, HypervisorKind } from "../../domain/hypervisor.ts";
import { openHypervisor } from "../../domain/index.ts";
import { systemUser } from "../../domain/libvirt/console-log.ts";
import { Connection } from "../../domain/libvirt/connection.ts";
import { FLAVOURS } from "../../domain/libvirt/flavours.ts";
import { HELLO, tinyKernel } from "../../domain/probe/guest.ts";
import { QEMU_USER } from "../../domain/xml/machine.ts";
import { idShift } from "../../image/build/shift.ts";
import type { Subject } from "./compliance.ts";
import type { Faults } from "./guests/faults.ts";
import type { Linux } from "./guests/guests.ts";
import type { Router } from "./guests/router.ts";
import { workingMachines } from "./guests/subjects.ts";
import { persistent } from "./persistent.ts";
import { containerSpec, machineSpec } from "./specs.ts";

/** Why real domains cannot be tested here, or false. */
export function missing(): string | false {
  if (process.getuid?.() !== 0) return "needs root";
  const files = ["/usr/sbin/libvirtd", "/usr/bin/qemu-system-x86_64", "/bin/busybox", "/usr/bin/tini"];
  const absent = files.filter((file) => !existsSync(file));
  const mend =
    "apt-get install libvirt-daemon libvirt-daemon-driver-{qemu,lxc} qemu-system-x86 busybox-static tini";
  return absent.length > 0 && `needs ${absent.join(", ")}: ${mend}`;
}

/** Runs where libvirtd runs; throws with the command's own words. */
export function inside(daemon: PrivateLibvirtd, ...command: readonly string[]): string {
  const [file = "", ...enter] = daemon.enter;
  return execFileSync(file, [...enter, ...command], {
    encoding: "utf8",
    stdio: ["ignore", "pipe", "pipe"],
  }).trim();
}

export function consoleOf(spec: DomainSpec): string {
  return existsSync(spec.consoleLog) ? readFileSync(spec.consoleLog, "latin1") : "";
}

async function addForeign(daemon: PrivateLibvirtd, uri: string, type: string, name: string): Promise<void> {
  const connection = await Connection.open({ socket: daemon.socket, uri });
  const os = type === "lxc" ? "<type>exe</type><init>/init</init>" : "<type arch='x86_64'>hvm</type>";
  await connection.defineDomain(
    `<domain type='${type}'><name>${name}</name><memory unit='MiB'>8</memory><os>${os}</os></domain>`,
  );
  await connection.close();
}

async function foreignExists(daemon: PrivateLibvirtd, uri: string, name: string): Promise<boolean> {
  const connection = await Connection.open({ socket: daemon.socket, uri });
  const domains = await connection.listAllDomains();
  await connection.close();
  return domains.some((domain) => domain.name === name);
}

/** What the guests run on, by name: the versions as the programs give them, without the build's own name. */
function versions(daemon: PrivateLibvirtd, kind: HypervisorKind) {
  return async (): Promise<Record<string, string>> => {
    const connection = await Connection.open({ socket: daemon.socket, uri: FLAVOURS[kind].uri });
    await connection.close();
    const { libVersion } = connection;
    const libvirt = [libVersion / 1_000_000, (libVersion / 1000) % 1000, libVersion % 1000].map(Math.floor);
    const linux = /^[\d.]+/.exec(release())?.[0] ?? release();
    const said = kind === "lxc" ? "" : inside(daemon, "qemu-system-x86_64", "--version");
    const qemu = /version ([\d.]+)/.exec(said)?.[1];
    return { Linux: linux, libvirt: libvirt.join("."), ...(qemu === undefined ? {} : { QEMU: qemu }) };
  };
}

/**
 * Processes of a domain, which bear its name: none, when it is gone. Control groups are the storm's to look at: here
 * libvirtd has namespaces of its own, in which the driver finds nothing to sweep.
 */
function residueUnder(daemon: PrivateLibvirtd): Faults["residue"] {
  return (name) =>
    inside(daemon, "ps", "-eo", "args")
      .split("\n")
      .filter((line) => line.includes(name));
}

/** What can be wrong with any description, besides what the kind has. */
function withoutLink(spec: DomainSpec): DomainSpec {
  const { link } = spec.identity;
  const guest = link.guestInterfaceName === undefined ? {} : { guestInterfaceName: "vmdomnone" };
  return { ...spec, identity: { ...spec.identity, link: { ...link, interfaceName: "vmdomnone", ...guest } } };
}

/**
 * Machines whose kernel says hello and idles; with `kvm` on a machine that has it. `home` must be passable for QEMU's
 * user. With a Linux, that of our base image (`storeIn(…).build({})`), there are also machines that work, with a router on
 * its links.
 */
export function machines(
  daemon: PrivateLibvirtd,
  home: string,
  kind: "kvm" | "qemu" = "qemu",
  linux?: Linux,
  router?: Router,
): Omit<Subject, "hypervisor"> {
  const { uri } = FLAVOURS[kind];
  const [kernel, initramfs, tap] = [join(home, "kernel"), join(home, "initramfs"), "vmdomt0"];
  writeFileSync(kernel, tinyKernel());
  writeFileSync(initramfs, "none");
  inside(daemon, "sh", "-c", `ip link show ${tap} 2>/dev/null || ip tuntap add ${tap} mode tap`);
  const base = join(home, "base.qcow2");
  execFileSync("qemu-img", ["create", "-q", "-f", "qcow2", base, "1M"]);
  const spec = async (name: string): Promise<DomainSpec> => {
    const path = join(home, `${name}.qcow2`);
    execFileSync("qemu-img", ["create", "-q", "-f", "qcow2", "-F", "qcow2", "-b", base, path]);
    const { uid, gid } = await systemUser(QEMU_USER);
    chownSync(path, uid, gid);
    const disk = { kind: "qcow2", path, kernel, initramfs } as const;
    return machineSpec(name, { disk, memoryMiB: 32, consoleLog: join(home, `${name}.log`) });
  };
  return {
    spec,
    brokenSpec: async (name) => {
      const whole = await spec(name);
      return { ...whole, disk: { ...whole.disk, kind: "qcow2", path: "/nowhere/disk", kernel, initramfs } };
    },
    crash: (name) => {
      inside(daemon, "sh", "-c", `kill -9 "$(cat /run/libvirt/qemu/${name}.pid)"`);
      return Promise.resolve();
    },
    addForeign: (name) => addForeign(daemon, uri, kind, name),
    foreignExists: (name) => foreignExists(daemon, uri, name),
    keepsConsole: true,
    versions: versions(daemon, kind),
    faults: {
      broken: {
        "no disk": (spec) => ({
          ...spec,
          disk: { ...spec.disk, kind: "qcow2", path: "/no/disk", kernel, initramfs },
        }),
        "no kernel": (spec) => ({
          ...spec,
          disk: { ...spec.disk, kind: "qcow2", kernel: "/no/kernel", initramfs },
        }),
        "a disk that is none": (spec) => ({
          ...spec,
          disk: { ...spec.disk, kind: "qcow2", path: kernel, kernel, initramfs },
        }),
        "no link": withoutLink,
        "more memory than there is": (spec) => ({ ...spec, memoryMiB: 1024 * 1024 }),
      },
      residue: residueUnder(daemon),
      killLibvirtd: () => daemon.restart(),
    },
    ...(linux === undefined ? {} : workingParts(workingMachines(daemon, home, linux, router))),
  };
}

function workingParts(working: ReturnType<typeof workingMachines>): Pick<Subject, "working" | "savable"> {
  return { working, savable: working.savable };
}

/** Whatever is left of an earlier one goes first: the kernel removes it a moment after its container. */
function makeVeth(daemon: PrivateLibvirtd, { identity: { link } }: DomainSpec): void {
  const { interfaceName: host, guestInterfaceName: guest = "", mac } = link;
  const make = `ip link delete ${host} 2>/dev/null; ip link add ${host} type veth peer name ${guest}`;
  inside(daemon, "sh", "-c", `${make} && ip link set ${guest} address ${mac}`);
}

/** Containers under this daemon; starts that libvirt lost sight of are repeated. */
export async function openContainers(daemon: PrivateLibvirtd, router?: Router): Promise<Hypervisor> {
  const hypervisor = await openHypervisor({ kind: "lxc", socket: daemon.socket });
  return persistent(hypervisor, async (spec) => {
    if (router?.made(spec)) await router.relink(spec);
    else makeVeth(daemon, spec);
  });
}

/** Says what it finds, and ends when somebody makes the file /crash. */
const CONTAINER_INIT = `#!/bin/busybox sh
echo "${HELLO}"
busybox id
busybox env
busybox cat /proc/self/uid_map
busybox ip link
echo "1024 2048" >/proc/sys/net/ipv4/ip_local_port_range && echo "ports $(busybox cat /proc/sys/net/ipv4/ip_local_port_range)"
(echo h >/proc/sysrq-trigger) 2>/dev/null && echo "the host is ours"
(busybox mknod /tmp/disk b 254 0 && busybox dd if=/tmp/disk count=1 of=/dev/null) 2>/dev/null && echo "the disk is ours"
echo done
while [ ! -e /crash ]; do busybox usleep 50000; done
`;

/** Containers with a root of busybox alone. */
export function containers(daemon: PrivateLibvirtd, home: string): Omit<Subject, "hypervisor"> {
  const { uri } = FLAVOURS.lxc;
  const rootOf = (name: string): string => join(home, `${name}.root`);
  const spec = (name: string): Promise<DomainSpec> => {
    const root = rootOf(name);
    rmSync(root, { recursive: true, force: true });
    for (const path of ["", "bin", "sbin", "dev", "proc", "sys", "tmp", "var", "var/log"]) {
      mkdirSync(join(root, path));
      chownSync(join(root, path), idShift, idShift);
    }
    cpSync("/bin/busybox", join(root, "bin/busybox"));
    writeFileSync(join(root, "sbin/vm-init"), CONTAINER_INIT, { mode: 0o755 });
    for (const file of ["bin/busybox", "sbin/vm-init"]) chownSync(join(root, file), idShift, idShift);
    const disk = { kind: "directory", path: root } as const;
    const made = containerSpec(name, { disk, memoryMiB: 64, consoleLog: join(home, `${name}.log`) });
    makeVeth(daemon, made);
    return Promise.resolve(made);
  };
  return {
    spec,
    brokenSpec: async (name) => {
      const whole = await spec(name);
      const link = { ...whole.identity.link, guestInterfaceName: "vmdomnone" };
      return { ...whole, identity: { ...whole.identity, link } };
    },
    crash: (name) => {
      writeFileSync(join(rootOf(name), "crash"), "");
      return Promise.resolve();
    },
    addForeign: (name) => addForeign(daemon, uri, "lxc", name),
    foreignExists: (name) => foreignExists(daemon, uri, name),
    keepsConsole: true,
    versions: versions(daemon, "lxc"),
    faults: {
      broken: {
        "no root": (spec) => ({ ...spec, disk: { kind: "directory", path: "/no/root" } }),
        "no link": withoutLink,
      },
      residue: residueUnder(daemon),
      killLibvirtd: () => daemon.restart(),
    },
  };
}
