/** What the doctor wants to know of a machine. Gathered by `gather.ts`, judged by `checks.ts`. */

import type { ProbeResult } from "@version-manager/version-router";

/** `node`: run the agent here; `testbed`: make nodes here, each with a libvirtd of its own. */
export type Purpose = "node" | "testbed";

/** What the kernel was asked to do once, in namespaces that vanish; absent in a probe that could not start. */
export const FEATURES = [
  "namespaces",
  "veth",
  "tap",
  "bridge",
  "clsact",
  "tbf",
  "bpf-program",
  "bpf-map",
  "bpffs",
  "overlayfs",
  "nftables",
] as const;

export type Feature = (typeof FEATURES)[number];

/** `undefined`: it worked; a text: the machine's own words why not. */
export type FeatureResults = Readonly<Partial<Record<Feature, string | undefined>>>;

export interface Facts {
  readonly purpose: Purpose;
  readonly uid: number;
  /** `24.21.0` */
  readonly nodeVersion: string;
  /** `6.1.0-18-amd64` */
  readonly kernelRelease: string;
  /** Type information of the running kernel is there. */
  readonly btf: boolean;
  /** Undefined when the probe needs root and there is none. */
  readonly features: FeatureResults | undefined;
  /** What the router's own probes say; it takes the kernel's data path where it can, else the relay. */
  readonly dataPaths: { readonly kernel: ProbeResult; readonly relay: ProbeResult };
  /** What the router that runs here has chosen, and why; undefined while none answers. */
  readonly routerSays: { readonly dataPath: string; readonly reason: string } | undefined;
  /** Programs that were looked for and are on the search path. */
  readonly programs: ReadonlySet<string>;
  /** libvirt's driver modules, `qemu`, `lxc`, `xen`, ….  */
  readonly libvirtDrivers: ReadonlySet<string>;
  /** Somebody accepts connections on libvirt's socket. */
  readonly libvirtAnswers: boolean;
  /** The agent answers on its socket, so taken ports are its own. */
  readonly agentAnswers: boolean;
  /** /dev/kvm can be opened. */
  readonly kvmDevice: boolean;
  /** The processor shows `vmx` or `svm`. */
  readonly virtualizationFlag: boolean;
  /** What the agent has proven here since the machine was booted, by booting something on it. */
  readonly hypervisorsProven: readonly { readonly kind: string; readonly reason: string }[];
  /** First characters of the digest of the base image, if one was built. */
  readonly baseImage: string | undefined;
  /** On the file system of the state directory, MiB. */
  readonly diskFreeMiB: number;
  readonly memoryAvailableMiB: number;
  /** Ports of the product that something else holds, `udp/4078`. */
  readonly portsTaken: readonly string[];
  /** Domains whose clocks are known, by what they are ahead of this machine's at least, ms. Empty without an agent. */
  readonly domainClocks: readonly { readonly domain: string; readonly offsetMs: number }[];
  readonly nowMs: number;
  /** When this copy of the product was built: no right clock shows an earlier time. */
  readonly builtAtMs: number;
}
