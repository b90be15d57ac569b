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
  /** MiB/s that it reads and writes at most, together; machines only, since containers have no disk of their own. */
  readonly diskMiBPerS?: number;
  /** File that receives the console, created by the hypervisor, kept after the domain is gone. */
  readonly consoleLog: string;
}

export type DomainState = "running" | "stopped" | "absent";

export interface ListedDomain {
  readonly name: string;
  readonly state: Exclude<DomainState, "absent">;
}

export type DomainEvent = { readonly name: string; readonly state: DomainState };

/** The machine that becomes a warm spare: no name that anybody knows, no identity, no link. */
export interface SpareSpec {
  /** As a domain's. */
  readonly name: string;
  readonly disk: Extract<DomainDisk, { readonly kind: "qcow2" }>;
  readonly memoryMiB: number;
  readonly vcpus: number;
  readonly consoleLog: string;
  /** Where the machine's line shall be reached; at most 107 bytes. */
  readonly socket: string;
}

/** Saving a machine, and going on with it as other domains. */
export interface MachineSaving {
  /** Two machines of equal descriptions can go on from one saved state; it changes with anything that forbids it. */
  circumstances(spec: SpareSpec): Promise<string>;
  /**
   * Boots it, waits for `ready`, and writes memory and devices to `file`. Nothing runs afterwards, whatever happens:
   * not even when this process dies.
   */
  save(spec: SpareSpec, file: string, ready: () => Promise<void>, signal: AbortSignal): Promise<void>;
  /** XML of the domain that goes on from a saved state, with its line at `socket`. */
  cloneXml(spec: DomainSpec, socket: string): string;
  /**
   * As `create`, but from the state in `file`, whose head says `cloneXml`. The domain that is kept beyond its end is
   * the same as after `create`.
   */
  restore(spec: DomainSpec, file: string, signal?: AbortSignal): Promise<void>;
}

/** All calls but `list`, `state` and `events` are idempotent. */
export interface Hypervisor {
  readonly kind: HypervisorKind;
  /** How the router must make the domain's link. */
  readonly linkKind: "tap" | "veth";
  /** What kind of disk this hypervisor boots. */
  readonly diskKind: DiskKind;
  /** Absent where machines cannot be saved. */
  readonly saving?: MachineSaving;
  /** Starts and keeps; when it fails nothing is left of the domain. */
  create(spec: DomainSpec, signal?: AbortSignal): Promise<void>;
  /**
   * Asks the domain to end by itself, by its power button or its process 1, until it has or `deadlineMs` are over.
   * True: it runs no more. It stays defined; one that is absent is fine. Throws E_DOMAIN when it is not ours.
   */
  shutdown(name: string, options: { readonly deadlineMs: number }): Promise<boolean>;
  /** Stops at once and undefines. Absent domains are fine. */
  destroy(name: string): Promise<void>;
  state(name: string): Promise<DomainState>;
  list(): Promise<readonly ListedDomain[]>;
  /** The present state of every domain, then changes, until aborted. */
  events(signal: AbortSignal): AsyncIterable<DomainEvent>;
  close(): Promise<void>;
}
