/** Judges the facts of a machine. Pure: the same facts give the same report. */
import type { ProbeResult, RouterErrorCode } from "@version-manager/version-router";
import type { AgentErrorCode } from "../errors.ts";
import { FEATURES } from "./facts.ts";
import type { Facts, Feature } from "./facts.ts";
import { installCommand, PROGRAM_GROUPS } from "./programs.ts";

export interface Check {
  readonly name: string;
  readonly ok: boolean;
  /** Without it the product does not work; otherwise it is advice. */
  readonly required: boolean;
  readonly needed: string;
  readonly found: string;
  /** A command, where one can mend it; otherwise what to do. Absent when all is well. */
  readonly mend?: string;
  /** The code with which the product would fail. */
  readonly code?: AgentErrorCode | RouterErrorCode;
}

/** Least free disk, MiB: a base image with its build, and disks of a few domains. */
export const DISK_FREE_MIN_MIB = 3_072;

/** Least available memory, MiB: two virtual machines of 256 MiB with QEMU, libvirtd, router and agent. */
export const MEMORY_AVAILABLE_MIN_MIB = 1_024;

const NODE_MIN = [22, 18] as const;
const KERNEL_MIN = [5, 15] as const;

/** Compares dotted numbers; what follows the first two is ignored. */
function atLeast(version: string, [major, minor]: readonly [number, number]): boolean {
  const [first = 0, second = 0] = version.split(/[.-]/).map(Number);
  return first > major || (first === major && second >= minor);
}

/** A required check; `mend` and `code` are told only when it fails. */
function check(
  name: string,
  ok: boolean,
  words: { needed: string; found: string; mend: string; code?: Check["code"]; required?: boolean },
): Check {
  const { needed, found, mend, code, required = true } = words;
  const remedy = ok ? {} : { mend, ...(code === undefined ? {} : { code }) };
  return { name, ok, required, needed, found, ...remedy };
}

function programChecks(facts: Facts): Check[] {
  const groups = PROGRAM_GROUPS.filter(
    ({ name }) => name !== "testbed programs" || facts.purpose === "testbed",
  );
  return groups.map(({ name, required, needed, programs }) => {
    const missing = Object.keys(programs).filter((program) => !facts.programs.has(program));
    return check(name, missing.length === 0, {
      required,
      needed: `${Object.keys(programs).join(", ")} ${needed}`,
      found: missing.length === 0 ? "all there" : `missing: ${missing.join(", ")}`,
      mend: installCommand(missing.map((program) => programs[program] ?? program)),
      ...(name === "libvirt programs" ? { code: "E_NO_LIBVIRT" } : {}),
    });
  });
}

function libvirtChecks(facts: Facts): Check[] {
  const drivers = ["qemu", "lxc"].filter((driver) => !facts.libvirtDrivers.has(driver));
  const checks = [
    check("libvirt drivers", drivers.length === 0, {
      needed: "libvirt's drivers for qemu and lxc",
      found:
        drivers.length === 0
          ? [...facts.libvirtDrivers].toSorted().join(", ")
          : `missing: ${drivers.join(", ")}`,
      mend: installCommand(drivers.map((driver) => `libvirt-daemon-driver-${driver}`)),
      code: "E_NO_LIBVIRT",
    }),
  ];
  if (facts.purpose === "testbed") return checks;
  const answers = check("libvirtd", facts.libvirtAnswers, {
    needed: "libvirtd answers on /run/libvirt/libvirt-sock",
    found: facts.libvirtAnswers ? "it answers" : "nobody answers",
    mend: "systemctl enable --now libvirtd",
    code: "E_NO_LIBVIRT",
  });
  return [...checks, answers];
}

/** With which code the product fails for want of a feature. */
const FEATURE_CODES: Readonly<Partial<Record<Feature, Check["code"]>>> = {
  clsact: "E_NO_DATA_PATH",
  "bpf-program": "E_NO_DATA_PATH",
  "bpf-map": "E_NO_DATA_PATH",
  bpffs: "E_NO_DATA_PATH",
};

function kernelChecks(facts: Facts): Check[] {
  const { features } = facts;
  const release = check("kernel", atLeast(facts.kernelRelease, KERNEL_MIN), {
    needed: `Linux ${KERNEL_MIN.join(".")} or later`,
    found: facts.kernelRelease,
    mend: "boot a newer kernel, as Debian 12 has",
    code: "E_NO_DATA_PATH",
  });
  const btf = check("kernel types", facts.btf, {
    needed: "/sys/kernel/btf/vmlinux",
    found: facts.btf ? "there" : "absent",
    mend: "boot a kernel built with CONFIG_DEBUG_INFO_BTF, as Debian's is",
    code: "E_NO_DATA_PATH",
  });
  if (features === undefined) {
    const words = { needed: FEATURES.join(", "), found: "not tried without root", mend: "run this as root" };
    return [release, btf, check("kernel features", false, words)];
  }
  const wanted = FEATURES.filter(
    (feature) => facts.purpose === "testbed" || !["bridge", "tbf"].includes(feature),
  );
  const failed = wanted.filter((feature) => !(feature in features) || features[feature] !== undefined);
  const code = failed.map((feature) => FEATURE_CODES[feature]).find((candidate) => candidate !== undefined);
  const told = failed.flatMap((feature) =>
    feature in features ? [`${feature} (${features[feature]})`] : [],
  );
  if (told.length < failed.length) told.push("the rest was not tried");
  const all = check("kernel features", failed.length === 0, {
    needed: wanted.join(", "),
    found: failed.length === 0 ? "each was tried and works" : `failed: ${told.join("; ")}`,
    mend: "install the programs named above first; otherwise boot a kernel with these built in or as modules",
    ...(code === undefined ? {} : { code }),
  });
  return [release, btf, all];
}

/** Want of root has a check of its own. */
function lacksOf({ missing }: ProbeResult): string[] {
  return missing.filter(({ what }) => what !== "root").map(({ what, mend }) => `${what} (${mend})`);
}

function dataPathCheck({ dataPaths, routerSays }: Facts): Check {
  const kernel = lacksOf(dataPaths.kernel);
  const relay = lacksOf(dataPaths.relay);
  const chosen = kernel.length === 0 ? "kernel" : "relay";
  const reason =
    chosen === "kernel" ? "this machine can carry it" : `the kernel's lacks ${kernel.join(", ")}`;
  const found =
    routerSays === undefined
      ? `${chosen}: ${reason}`
      : `${routerSays.dataPath}, in use: ${routerSays.reason}`;
  const ok = kernel.length === 0 || relay.length === 0;
  return check("data path", ok && (routerSays?.dataPath ?? chosen) === "kernel", {
    required: !ok,
    needed: ok ? "the kernel's: the relay carries a third of it" : "the kernel's, or the relay",
    found: ok ? found : `neither: the kernel's lacks ${kernel.join(", ")}; the relay ${relay.join(", ")}`,
    mend:
      kernel.length > 0
        ? kernel.join("; ")
        : 'set "dataPath": "kernel" in router.json, after "vm-router --destroy"',
    ...(ok ? {} : { code: "E_NO_DATA_PATH" }),
  });
}

function hypervisorCheck(facts: Facts): Check {
  const ok = facts.kvmDevice && facts.virtualizationFlag;
  const lacks = [
    facts.kvmDevice ? "" : "/dev/kvm",
    facts.virtualizationFlag ? "" : "vmx or svm in /proc/cpuinfo",
  ];
  return check("hardware virtualization", ok, {
    required: false,
    needed: "/dev/kvm and a processor that shows vmx or svm",
    found: ok ? "both there; a boot decides" : `no ${lacks.filter((lack) => lack !== "").join(", no ")}`,
    mend: "turn it on in the firmware or the outer hypervisor; without it domains are emulated, or containers",
  });
}

/** The agent boots a tiny guest before it trusts a hypervisor, and remembers what it saw. */
function provenCheck({ hypervisorsProven }: Facts): Check {
  return check("hypervisor", hypervisorsProven.length > 0, {
    required: false,
    needed: "one that a tiny guest was booted on",
    found: hypervisorsProven.map(({ kind, reason }) => `${kind}: ${reason}`).join("; ") || "none tried yet",
    mend: "start the agent: it tries kvm, xen, qemu and lxc, in this order, and its log says why each one fails",
    code: "E_NO_HYPERVISOR",
  });
}

function roomChecks(facts: Facts): Check[] {
  return [
    check("free disk", facts.diskFreeMiB >= DISK_FREE_MIN_MIB, {
      needed: `${DISK_FREE_MIN_MIB} MiB for images and disks`,
      found: `${Math.floor(facts.diskFreeMiB)} MiB`,
      mend: "free some space below /var",
      code: "E_DISK_FULL",
    }),
    check("memory", facts.memoryAvailableMiB >= MEMORY_AVAILABLE_MIN_MIB, {
      needed: `${MEMORY_AVAILABLE_MIN_MIB} MiB for two virtual machines`,
      found: `${Math.floor(facts.memoryAvailableMiB)} MiB available`,
      mend: "stop other programs, or give the machine more memory",
    }),
  ];
}

function portCheck(facts: Facts): Check {
  const ok = facts.portsTaken.length === 0;
  return check("ports", ok, {
    needed: "udp/4078, tcp/4080 and tcp/4081 free, or held by this product",
    found: ok ? (facts.agentAnswers ? "the agent runs" : "free") : `taken: ${facts.portsTaken.join(", ")}`,
    mend: "ss --listening --tcp --udp --numeric --processes; then end that program, or change the port in agent.json",
    code: "E_PORT_TAKEN",
  });
}

/** By how much a domain's clock may differ before people are told, ms; the agent sets it long before. */
const CLOCK_OFFSET_MAX_MS = 1_000;

/** Only where there are domains to speak of. */
function domainClockChecks({ domainClocks }: Facts): Check[] {
  if (domainClocks.length === 0) return [];
  const wrong = domainClocks.filter(({ offsetMs }) => Math.abs(offsetMs) > CLOCK_OFFSET_MAX_MS);
  const told = wrong.map(({ domain, offsetMs }) => `${domain} by ${(offsetMs / 1000).toFixed(1)} s`);
  return [
    check("clocks of domains", wrong.length === 0, {
      required: false,
      needed: "within a second of this machine's",
      found: wrong.length === 0 ? "they are" : `off: ${told.join(", ")}`,
      mend: "vm-upgrade logs SERVICE VERSION says why the agent could not set it",
    }),
  ];
}

/** All checks, in the order in which they are worth mending. */
export function judge(facts: Facts): readonly Check[] {
  return [
    check("root", facts.uid === 0, {
      needed: "user 0",
      found: `user ${facts.uid}`,
      mend: "run this with sudo",
      code: "E_NOT_ROOT",
    }),
    check("Node", atLeast(facts.nodeVersion, NODE_MIN), {
      needed: `Node ${NODE_MIN.join(".")} or later`,
      found: facts.nodeVersion,
      mend: "scripts/setup",
    }),
    ...programChecks(facts),
    ...libvirtChecks(facts),
    ...kernelChecks(facts),
    dataPathCheck(facts),
    ...roomChecks(facts),
    ...(facts.purpose === "node" ? [portCheck(facts)] : []),
    check("clock", facts.nowMs >= facts.builtAtMs, {
      needed: "a clock that is right, because signatures expire",
      found: new Date(facts.nowMs).toISOString(),
      mend: "set the clock: timedatectl set-ntp true",
    }),
    check("base image", facts.baseImage !== undefined, {
      required: false,
      needed: "the root that domains boot from",
      found: facts.baseImage ?? "none built yet",
      mend: "vm-upgrade image build",
      code: "E_NO_BASE_IMAGE",
    }),
    hypervisorCheck(facts),
    ...domainClockChecks(facts),
    ...(facts.purpose === "node" ? [provenCheck(facts)] : []),
  ];
}
