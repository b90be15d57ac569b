/** Virtual machines of QEMU: accelerated by KVM, or emulated. Pure. */
import { AgentError } from "../../errors.ts";
import type { DomainDisk, DomainSpec } from "../hypervisor.ts";
import { element, render } from "./element.ts";
import type { Element } from "./element.ts";
import { checkSpec, domainElement } from "./frame.ts";
import { kernelCommandLine } from "./identity.ts";

/**
 * The unprivileged user and group that QEMU runs as, Debian's choice. It owns the private disk and the console log and
 * nothing else: libvirt by itself would give it the shared base image and the kernel too, which it could then change.
 */
export const QEMU_USER = "libvirt-qemu";

/** MiB of translated code that the emulator keeps; its default, 1 GiB, would be most of a small guest's cost. */
const TRANSLATION_CACHE_MIB = 64;

/**
 * no_timer_check: an emulated timer on a busy machine is too slow for the check, and the kernel would panic.
 * mitigations=off: the guest runs one trusted program, and emulation has nothing to leak through.
 * panic=-1: a panic ends the machine at once, which the agent sees; it would hang otherwise.
 */
const KERNEL_WORDS = {
  qemu: ["console=ttyS0", "quiet", "net.ifnames=0", "panic=-1", "no_timer_check", "mitigations=off"],
  kvm: ["console=ttyS0", "quiet", "net.ifnames=0", "panic=-1"],
} as const;

/**
 * What a machine has besides that is saved as a warm spare, and each of its clones: the line on which a clone learns
 * who it is. libvirt makes the socket, QEMU listens on it.
 */
export interface SpareLine {
  readonly socket: string;
  /** The machine that is saved: it has no identity, and a tap that libvirt makes and removes. */
  readonly template: boolean;
}

type MachineDisk = Exclude<DomainDisk, { readonly kind: "directory" }>;

/** Throws E_DOMAIN when the description is wrong. */
export function machineXml(type: "kvm" | "qemu", spec: DomainSpec, line?: SpareLine): string {
  checkSpec(spec);
  if (spec.disk.kind === "directory") {
    throw new AgentError(
      "E_DOMAIN",
      `A ${type} domain boots a qcow2 disk, not a directory; prepare its disk again.`,
    );
  }
  const tcg = element("tcg", {}, element("tb-cache", { unit: "MiB" }, String(TRANSLATION_CACHE_MIB)));
  const features = element(
    "features",
    {},
    element("acpi"),
    element("apic"),
    type === "qemu" ? tcg : undefined,
  );
  const cpu = type === "kvm" ? [element("cpu", { mode: "host-passthrough" })] : [];
  const clock = element("clock", { offset: "utc" });
  const os = bootFrom(type, spec, spec.disk, line);
  const parts = [os, features, ...cpu, clock, machineDevices(spec, spec.disk, line), unprivileged()];
  return render(domainElement(type, spec, parts));
}

/** Our kernel is given to the machine; a disk of another make boots as on a real one, by its own boot loader. */
function bootFrom(type: "kvm" | "qemu", spec: DomainSpec, disk: MachineDisk, line?: SpareLine): Element {
  const machine = element("type", { arch: "x86_64", machine: "pc" }, "hvm");
  if (disk.kind === "bootable") return element("os", {}, machine, element("boot", { dev: "hd" }));
  const words = [...KERNEL_WORDS[type], ...(disk.kernelWords ?? [])];
  return element(
    "os",
    {},
    machine,
    element("kernel", {}, disk.kernel),
    element("initrd", {}, disk.initramfs),
    element(
      "cmdline",
      {},
      line?.template === true ? [...words, "vm.spare=1"].join(" ") : kernelCommandLine(words, spec.identity),
    ),
  );
}

/** What cloud-init reads: a read-only disk, because a drive for discs would need one more driver in the guest. */
function seedDisk(seed: string): Element {
  return element(
    "disk",
    { type: "file", device: "disk" },
    element("driver", { name: "qemu", type: "raw" }),
    element("source", { file: seed }),
    element("target", { dev: "vdb", bus: "virtio" }),
    element("readonly"),
  );
}

/** A second's worth at once is within the rate: QEMU counts over a tenth of that. */
function diskRate({ diskMiBPerS }: DomainSpec): Element | undefined {
  if (diskMiBPerS === undefined) return undefined;
  return element("iotune", {}, element("total_bytes_sec", {}, String(diskMiBPerS * 1024 ** 2)));
}

function machineDevices(spec: DomainSpec, disk: MachineDisk, line?: SpareLine): Element {
  const { link } = spec.identity;
  return element(
    "devices",
    {},
    element(
      "disk",
      { type: "file", device: "disk" },
      // An error of the disk reaches the guest: a machine that QEMU pauses would look alive and serve nobody.
      element("driver", { name: "qemu", type: "qcow2", discard: "unmap", error_policy: "report" }),
      element("source", { file: disk.path }),
      element("target", { dev: "vda", bus: "virtio" }),
      diskRate(spec),
    ),
    disk.kind === "bootable" ? seedDisk(disk.seed) : undefined,
    element("controller", { type: "usb", model: "none" }),
    element(
      "interface",
      { type: "ethernet" },
      element("mac", { address: link.mac }),
      // The tap is the router's, with its programs on it; libvirt shall neither make nor remove it.
      line?.template === true ? undefined : element("target", { dev: link.interfaceName, managed: "no" }),
      element("model", { type: "virtio" }),
    ),
    element(
      "serial",
      { type: "file" },
      element("source", { path: spec.consoleLog, append: "on" }),
      element("target", { port: 0 }),
    ),
    line === undefined ? undefined : spareLine(line.socket),
    element("memballoon", { model: "none" }),
    element("rng", { model: "virtio" }, element("backend", { model: "random" }, "/dev/urandom")),
  );
}

/** A second serial port: reading from it blocks, where a virtio port without a peer would say that it is at its end. */
function spareLine(socket: string): Element {
  return element(
    "serial",
    { type: "unix" },
    element("source", { mode: "bind", path: socket }),
    element("target", { port: 1 }),
  );
}

/** Runs as that user, and no file changes hands. */
export function unprivileged(): Element {
  const label = element("label", {}, `${QEMU_USER}:${QEMU_USER}`);
  return element("seclabel", { type: "static", model: "dac", relabel: "no" }, label);
}
