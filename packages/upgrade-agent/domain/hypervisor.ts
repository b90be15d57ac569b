/**
 * What the life cycle needs of a hypervisor. `libvirt/` is the real one, `fake.ts` the one for tests; both pass
 * `../test/domain/compliance.ts`.
 */
import type { DomainLink } from "@version-manager/version-router";

export type HypervisorKind = "kvm" | "qemu" | "xen" | "lxc";

/** What the domain learns at boot about who it is. Public facts only: no secret is ever put here. */
export interface DomainIdentity {
  readonly hostname: string;
  readonly service: string;
  readonly version: number;
  /** OpenSSH public key that may log in as root over the management address. */
  readonly authorizedKey: string;
  readonly link: DomainLink;
}

/** What a hypervisor can boot: a disk, or a directory for containers. */
export type DiskKind = "qcow2" | "directory";

/** First programs of a root that is not our base: its own busybox and init may be missing or other than ours. */
export interface RootTools {
  /** A static busybox in the root, and the program that is process 1. */
  readonly busybox: string;
  readonly init: string;
}

/** The disk of a domain, prepared by `../image`. Paths are absolute. */
export type DomainDisk =
  | {
      readonly kind: "qcow2";
      readonly path: string;
      readonly kernel: string;
      readonly initramfs: string;
      /** Words for the kernel's command line, besides those of every domain. */
      readonly kernelWords?: readonly string[];
    }
  /** A disk with a boot loader of its own; `seed` is the NoCloud disk that tells cloud-init who the domain is. */
  | { readonly kind: "bootable"; readonly path: string; readonly seed: string }
  | { readonly kind: "directory"; readonly path: string; readonly tools?: RootTools };

export interface DomainSpec {
  /** Unique on the libvirt daemon, `[a-z0-9][a-z0-9.-]{0,62}`. */
  readonly name: string;
  readonly identity: DomainIdentity;
  readonly disk: DomainDisk;
  readonly memoryMiB: number;
  readonly vcpus: number;
  /** File that receives the console, created by the hypervisor, kept after the domain is gone. */
  readonly consoleLog: string;
}

export type DomainState = "running" | "stopped" | "absent";

export interface ListedDomain {
  readonly name: string;
  readonly state: Exclude<DomainState, "absent">;
}

export type DomainEvent = { readonly name: string; readonly state: DomainState };

/** All calls but `list`, `state` and `events` are idempotent. */
export interface Hypervisor {
  readonly kind: HypervisorKind;
  /** How the router must make the domain's link. */
  readonly linkKind: "tap" | "veth";
  /** What kind of disk this hypervisor boots. */
  readonly diskKind: DiskKind;
  /** Starts and keeps; when it fails nothing is left of the domain. */
  create(spec: DomainSpec, signal?: AbortSignal): Promise<void>;
  /** Stops at once and undefines. Absent domains are fine. */
  destroy(name: string): Promise<void>;
  state(name: string): Promise<DomainState>;
  list(): Promise<readonly ListedDomain[]>;
  /** The present state of every domain, then changes, until aborted. */
  events(signal: AbortSignal): AsyncIterable<DomainEvent>;
  close(): Promise<void>;
}
