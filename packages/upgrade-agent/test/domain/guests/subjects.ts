/** The two kinds of working guests, machines and containers, below a directory of the test and a libvirtd of its own. */
import { execFileSync } from "node:child_process";
import { mkdirSync, readFileSync, statSync } from "node:fs";
import { join } from "node:path";
import type { PrivateLibvirtd } from "@version-manager/testbed/libvirt";
import type { DomainSpec } from "../../../domain/hypervisor.ts";
import { makeBounded, mountBounded, unmountAll } from "../../../image/bounded.ts";
import { containerSpec, identity, machineSpec } from "../specs.ts";
import type { Limits, Working } from "./cases.ts";
import {
  BASE_MARK,
  overlayOn,
  workingDisk,
  workingInitramfs,
  workingRoot,
  workingUpper,
  workWords,
} from "./guests.ts";
import type { Linux, Work } from "./guests.ts";
import type { Router } from "./router.ts";
import type { Savable } from "./saved.ts";

/** Runs a script where libvirtd runs. */
function inside(daemon: PrivateLibvirtd, script: string): void {
  const [file = "", ...enter] = daemon.enter;
  execFileSync(file, [...enter, "sh", "-ec", script], { stdio: ["ignore", "ignore", "pipe"] });
}

const BLOCK_BYTES = 512;

/** Of both kinds: working guests live at the same time, so each has a link of its own. */
const macOf = (number: number): string => `52:54:00:00:01:${number.toString(16).padStart(2, "0")}`;

/** Machines of QEMU, emulated or on KVM, that boot this kernel. */
export function workingMachines(
  daemon: PrivateLibvirtd,
  home: string,
  linux: Linux,
  router?: Router,
): Working & { readonly savable: Savable } {
  const initramfs = join(home, "work-initramfs");
  workingInitramfs(linux, initramfs);
  let made = 0;
  const linked = async (networkMbitPerS?: number): Promise<DomainSpec["identity"]> => {
    if (router !== undefined) return await router.identity("tap", networkMbitPerS);
    const [interfaceName, mac] = [`vmdomw${made}`, macOf(made++)];
    inside(daemon, `ip tuntap add ${interfaceName} mode tap`);
    return { ...identity, link: { ...identity.link, interfaceName, mac } };
  };
  const machine = async (name: string, work: Work, { memoryMiB, vcpus, diskMiB }: Limits) => {
    const path = await workingDisk(home, name, diskMiB);
    const kernelWords = workWords(work);
    const disk = { kind: "qcow2", path, kernel: linux.kernel, initramfs, kernelWords } as const;
    return { name, disk, memoryMiB, vcpus, consoleLog: join(home, `${name}.machine.console.log`) };
  };
  const spec: Working["spec"] = async (name, work, limits) => {
    const { diskMiBPerS } = limits;
    const rate = diskMiBPerS === undefined ? {} : { diskMiBPerS };
    const link = await linked(limits.networkMbitPerS);
    return machineSpec(name, { identity: link, ...(await machine(name, work, limits)), ...rate });
  };
  const savable: Savable = {
    template: async (name, work, limits) => {
      const spec = { ...(await machine(name, work, limits)), socket: join(home, `${name}.line`) };
      return { spec, file: join(home, `${name}.save`) };
    },
    clone: async (name, { disk, ...template }) => {
      const path = await overlayOn(home, name, disk.path);
      const consoleLog = join(home, `${name}.machine.console.log`);
      const { memoryMiB, vcpus } = template;
      const spec = machineSpec(name, {
        identity: await linked(),
        disk: { ...disk, path },
        memoryMiB,
        vcpus,
        consoleLog,
      });
      return { spec, file: join(home, `${name}.save`), socket: join(home, `${name}.line`) };
    },
  };
  return {
    spec,
    savable,
    ...(router === undefined ? {} : { router }),
    seesVcpus: true,
    diskBytes: (name) => statSync(join(home, `${name}.qcow2`)).blocks * BLOCK_BYTES,
    baseMark: () => {
      const raw = join(home, "work-base.look");
      execFileSync("qemu-img", ["convert", "-O", "raw", join(home, "work-base.qcow2"), raw]);
      return readFileSync(raw, "latin1").slice(0, BASE_MARK.length);
    },
  };
}

/** Containers, each on an overlay within a file system of its own size. `home` must be a shared mount. */
export function workingContainers(
  daemon: PrivateLibvirtd,
  home: string,
  router?: Router,
): Working & { readonly end: () => Promise<void> } {
  const base = join(home, "work-base");
  workingRoot(base);
  const mounts: string[] = [];
  let made = 0;
  const linked = async (number: number, networkMbitPerS?: number): Promise<DomainSpec["identity"]> => {
    if (router !== undefined) return await router.identity("veth", networkMbitPerS);
    const [host, guest, mac] = [`vmdomx${number}`, `vmdomy${number}`, macOf(number)];
    inside(daemon, `ip link add ${host} type veth peer name ${guest}; ip link set ${guest} address ${mac}`);
    const link = { ...identity.link, interfaceName: host, guestInterfaceName: guest, mac };
    return { ...identity, link };
  };
  const spec = async (
    name: string,
    work: Work,
    limits: Parameters<Working["spec"]>[2],
  ): Promise<DomainSpec> => {
    const [number, file, store, root] = [
      made++,
      join(home, `${name}.ext4`),
      join(home, `${name}.store`),
      join(home, `${name}.root`),
    ];
    for (const path of [store, root]) mkdirSync(path);
    await makeBounded(file, limits.diskMiB);
    mounts.push(root, store);
    await mountBounded(file, store);
    workingUpper(store, work);
    const options = `lowerdir=${base},upperdir=${store}/upper,workdir=${store}/work`;
    execFileSync("mount", ["-t", "overlay", "-o", options, "vmdom", root]);
    return containerSpec(name, {
      identity: await linked(number, limits.networkMbitPerS),
      disk: { kind: "directory", path: root },
      memoryMiB: limits.memoryMiB,
      vcpus: limits.vcpus,
      consoleLog: join(home, `${name}.container.console.log`),
    });
  };
  return {
    spec,
    ...(router === undefined ? {} : { router }),
    seesVcpus: false,
    noDiskRate: "a container has no disk of its own that could be slowed down",
    diskBytes: (name) => statSync(join(home, `${name}.ext4`)).blocks * BLOCK_BYTES,
    baseMark: () => readFileSync(join(base, "mark"), "latin1"),
    end: async () => {
      for (const mount of mounts) await unmountAll(mount);
    },
  };
}
