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

/** The disk of a domain, prepared by `../image`. Paths are absolute. */
export type DomainDisk =
  | { readonly kind: "qcow2"; readonly path: string; readonly kernel: string; readonly initramfs: string }
  | { readonly kind: "directory"; readonly path: string };

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
  readonly diskKind: DomainDisk["kind"];
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
