/** Descriptions of domains for tests. */
import type { DomainLink } from "@version-manager/version-router";
import type { DomainIdentity, DomainSpec } from "../../domain/hypervisor.ts";

const link: DomainLink = {
  interfaceName: "vmdomt0",
  mac: "52:54:00:00:00:01",
  address: "10.77.0.1",
  gateway: "169.254.1.1",
  managementAddress: "169.254.128.1",
  mtu: 1484,
  ephemeralPorts: [32768, 36863],
};

export const identity: DomainIdentity = {
  hostname: "n1-kv-2",
  service: "kv",
  version: 2,
  authorizedKey: "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAA agent@n1",
  link,
};

export function machineSpec(name: string, change: Partial<DomainSpec> = {}): DomainSpec {
  const disk = {
    kind: "qcow2",
    path: "/d/disk.qcow2",
    kernel: "/b/vmlinux",
    initramfs: "/b/initramfs.cpio",
  } as const;
  return { name, identity, disk, memoryMiB: 128, vcpus: 1, consoleLog: "/tmp/unused.log", ...change };
}

export function containerSpec(name: string, change: Partial<DomainSpec> = {}): DomainSpec {
  const veth = { ...link, interfaceName: "vmdomh0", guestInterfaceName: "vmdomg0" };
  return machineSpec(name, {
    identity: { ...identity, link: veth },
    disk: { kind: "directory", path: "/d/root" },
    ...change,
  });
}
