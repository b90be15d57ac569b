/** A virtual machine by plain QEMU, emulated, on a tap of its own: the least that shows that a base boots. */
import { spawn } from "node:child_process";
import { once } from "node:events";
import { readFileSync } from "node:fs";
import { connect } from "node:net";
import { join } from "node:path";
import { ip, leadTo, removeLink } from "./link.ts";
import type { DomainDisk } from "../../domain/hypervisor.ts";

export interface Machine {
  readonly address: string;
  console(): string;
  /** As `virsh shutdown` does. */
  pressPowerButton(): Promise<void>;
  /** When QEMU has ended. */
  readonly ended: Promise<void>;
  remove(): Promise<void>;
}

const words = "console=ttyS0 quiet net.ifnames=0 panic=-1 no_timer_check mitigations=off";
const address = "10.99.7.9";
const mac = "52:54:00:76:6d:01";

/** One at a time: the address is always the same. Needs root. */
export async function startMachine(options: {
  disk: Extract<DomainDisk, { kind: "qcow2" }>;
  directory: string;
  authorizedKey: string;
}): Promise<Machine> {
  const link = "vmim-t";
  ip(`tuntap add ${link} mode tap`);
  leadTo(address, mac, link);
  const log = join(options.directory, "console.log");
  const monitor = join(options.directory, "monitor");
  const key = Buffer.from(options.authorizedKey).toString("base64");
  const identity = `vm.hostname=vmim-1 vm.address=${address} vm.gateway=169.254.1.1 vm.address6=fd10:99::7 vm.gateway6=fe80::1 vm.mtu=1484 vm.mac=${mac} vm.ports=32768-40001 vm.service=kv vm.version=7 vm.key=${key}`;
  const child = spawn(
    "qemu-system-x86_64",
    [
      ["-M", "pc,accel=tcg", "-m", "192", "-smp", "1", "-display", "none", "-no-reboot"],
      ["-kernel", options.disk.kernel, "-initrd", options.disk.initramfs, "-append", `${words} ${identity}`],
      ["-drive", `file=${options.disk.path},if=virtio,format=qcow2`, "-device", "virtio-rng-pci"],
      ["-netdev", `tap,id=n,ifname=${link},script=no,downscript=no`],
      ["-device", `virtio-net-pci,netdev=n,mac=${mac}`],
      ["-serial", `file:${log}`, "-monitor", `unix:${monitor},server,nowait`],
    ].flat(),
    { stdio: ["ignore", "inherit", "inherit"] },
  );
  const ended = new Promise<void>((resolve) => void child.once("close", () => resolve()));
  return {
    address,
    ended,
    console: () => readFileSync(log, "utf8"),
    pressPowerButton: async () => {
      const socket = connect(monitor);
      socket.end("system_powerdown\n").resume();
      await once(socket, "close");
    },
    remove: async () => {
      child.kill("SIGKILL");
      await ended;
      removeLink(link);
    },
  };
}
