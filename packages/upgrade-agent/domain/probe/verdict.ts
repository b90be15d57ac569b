/** Whether one hypervisor works here, and why; what can be known without booting comes first. */
import { readFile } from "node:fs/promises";
import { AgentError } from "../../errors.ts";
import type { HypervisorKind } from "../hypervisor.ts";
import { FLAVOURS } from "../libvirt/flavours.ts";
import { isLost } from "../libvirt/rpc/error.ts";
import { bootOnce } from "./boot.ts";
import { containerGuest, machineGuest } from "./guest.ts";
import type { GuestOptions } from "./guest.ts";
import { xenGuest } from "./xen-guest.ts";

export interface Verdict {
  readonly kind: HypervisorKind;
  readonly works: boolean;
  /** One clause: what was seen. */
  readonly reason: string;
  /** What to do so that it works, when something can be done. */
  readonly mend?: string;
}

export interface ProbeOptions {
  /** libvirtd's unix socket. */
  readonly socket: string;
  /** Where guests lie for a moment and the result is remembered. */
  readonly cacheDirectory: string;
  /** Linux kernel to boot; without one, machines only prove that they run a few bytes of ours. */
  readonly kernel?: string;
  /** Milliseconds that a tiny guest may take, default 60,000: 3 s on a quiet machine, ten times that on a busy one. */
  readonly bootTimeoutMs?: number;
}

const BOOT_TIMEOUT_MS = 60_000;

const MEND: Readonly<Record<HypervisorKind, string>> = {
  kvm: "use a machine with hardware virtualization, or switch nested virtualization on in its host",
  xen: "boot the machine under Xen and install libvirt-daemon-driver-xen",
  qemu: "apt-get install --no-install-recommends libvirt-daemon-driver-qemu qemu-system-x86 busybox-static",
  lxc: "apt-get install --no-install-recommends libvirt-daemon-driver-lxc busybox-static",
};

/** Throws E_NO_LIBVIRT when nobody answers: that says nothing of hypervisors. */
export async function examine(kind: HypervisorKind, options: ProbeOptions): Promise<Verdict> {
  try {
    const obstacle = await foreseen(kind);
    if (obstacle !== undefined) return { kind, works: false, reason: obstacle, mend: MEND[kind] };
    return { kind, works: true, reason: await prove(kind, options) };
  } catch (error) {
    if (isLost(error)) throw error;
    return { kind, works: false, reason: sentence(error), mend: MEND[kind] };
  }
}

function sentence(error: unknown): string {
  const message = error instanceof Error ? error.message : String(error);
  return message.trim().replace(/\.$/, "");
}

/** Why it cannot work, when the machine itself says so. */
async function foreseen(kind: HypervisorKind): Promise<string | undefined> {
  if (kind === "kvm" && !/\b(vmx|svm)\b/.test(await readFile("/proc/cpuinfo", "utf8"))) {
    // There are kernels whose /dev/kvm opens and runs nothing that a stock kernel needs.
    return "the processor offers neither vmx nor svm, whatever /dev/kvm says";
  }
  if (kind !== "xen") return undefined;
  const capabilities = await readFile("/proc/xen/capabilities", "utf8").catch(() => undefined);
  if (capabilities === undefined) return "this kernel does not run under Xen: there is no /proc/xen";
  return capabilities.includes("control_d")
    ? undefined
    : "this is a guest of Xen, not the domain that controls it";
}

/** What was seen working. Throws what was not. */
async function prove(kind: HypervisorKind, options: ProbeOptions): Promise<string> {
  const { socket, kernel } = options;
  const machine = (type: "kvm" | "qemu") => (guest: GuestOptions) =>
    machineGuest(type, kernel === undefined ? guest : { ...guest, kernel });
  const guests = { kvm: machine("kvm"), qemu: machine("qemu"), xen: xenGuest, lxc: containerGuest };
  const elapsedMs = await bootOnce({
    socket,
    uri: FLAVOURS[kind].uri,
    makeGuest: guests[kind],
    scratchDirectory: options.cacheDirectory,
    timeoutMs: options.bootTimeoutMs ?? BOOT_TIMEOUT_MS,
  });
  const after = `after ${(elapsedMs / 1000).toFixed(1)} s`;
  if (kind === "xen") return `a tiny guest ran and switched itself off ${after}`;
  const guest = kind === "lxc" ? "container" : kernel === undefined ? "kernel of our own" : "Linux guest";
  return `a tiny ${guest} said hello ${after}`;
}

export function noHypervisor(verdicts: readonly Verdict[]): AgentError {
  const reasons = verdicts.map(({ kind, reason }) => `${kind}: ${reason}`).join("; ");
  const mends = verdicts.map(({ mend }) => mend).filter((mend) => mend !== undefined);
  return new AgentError(
    "E_NO_HYPERVISOR",
    `Domains cannot run here (${reasons}); ${mends.at(-1) ?? "see doctor"}.`,
  );
}
