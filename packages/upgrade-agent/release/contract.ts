/** The words of a release: its manifest, its signed metadata, and where the agent keeps it. */
import type { PortSpec, ServicePolicy } from "@version-manager/version-router";

/**
 * A command of the release, run by `/bin/sh -c` inside the domain in the directory `/opt/app`, as root of the domain.
 *
 * Environment: VM_SERVICE, VM_VERSION, VM_LABEL, VM_NODE, VM_ADDRESS (the node's service address), VM_PEERS (service
 * addresses of the other nodes, separated by commas). The migrate hook also gets VM_OLD_VERSION and, per client port
 * of the old version, for example `VM_OLD_TCP_80=169.254.1.1:49152`: an endpoint of the host, open only while the
 * hook runs, that leads to that port of the old domain.
 */
export interface Hook {
  readonly command: string;
  /** Milliseconds, default 60,000. */
  readonly timeoutMs: number;
}

/**
 * What the domain's root file system is made of. Exactly one of `base`, `import`, `root` and `oci`; `kernel` and
 * `initramfs` come together.
 */
export interface ImageChoice {
  /** The node's base image: its newest, or the one of this digest (hex). */
  readonly base?: string;
  /** An image that every node has imported: SHA-256 of the imported file, hex. */
  readonly import?: string;
  /** A root file system in the release: a directory, or a tarball (plain or gzipped). */
  readonly root?: string;
  /** An archive of `podman save` or `docker save` in the release. */
  readonly oci?: string;
  /** The release's own Linux kernel and initramfs, for virtual machines; paths in the release. */
  readonly kernel?: string;
  readonly initramfs?: string;
}

/** `version.json`, parsed and with every default filled in. */
export interface Manifest {
  readonly manifest: 1;
  /** `[a-z][a-z0-9-]{0,31}` */
  readonly service: string;
  /** 1…2²⁸−1, only grows */
  readonly version: number;
  /** For people, `2.0.1`; at most 64 characters. */
  readonly label: string;
  readonly memoryMiB: number;
  readonly vcpus: number;
  /** MiB that the private disk may take. */
  readonly diskMiB?: number;
  /** MiB/s that the domain reads and writes at most, together. */
  readonly diskMiBPerS?: number;
  /** Mbit/s that the domain sends at most, and as many that it receives. */
  readonly networkMbitPerS?: number;
  readonly ports: { readonly peer: readonly PortSpec[]; readonly client: readonly PortSpec[] };
  /** Absent: `deny`. What of it counts when versions differ: `policyVersion` in `../daemon/router-sync.ts`. */
  readonly unmanagedPeers?: ServicePolicy["unmanagedPeers"];
  readonly hooks: {
    readonly install?: Hook;
    /** Runs in the background, supervised: what it says goes to the agent's journal. */
    readonly start: Hook;
    /** Exits 0 when the service answers. Polled. */
    readonly health: Hook;
    /** Asks the service to end client connections at their next message boundary. */
    readonly drain?: Hook;
    /** Copies state out of the old version. Gets VM_OLD_ADDRESS, VM_OLD_VERSION. */
    readonly migrate?: Hook;
    /** Asks the service to end; absent: SIGTERM to its process group. */
    readonly stop?: Hook;
  };
  /** When the service is started again after it ended. Absent, or in part: `restartPolicyOf` in `../service/policy.ts`. */
  readonly restart?: {
    readonly policy?: "no" | "on-failure" | "always";
    readonly delayMs?: number;
    readonly delayMaxMs?: number;
    readonly windowMs?: number;
    readonly restartsMax?: number;
  };
  /** How long the service may take to stop before it is killed, ms. Absent: `stopTimeoutOf` in `../service/policy.ts`. */
  readonly stopTimeoutMs?: number;
  readonly health: { readonly intervalMs: number; readonly successes: number; readonly deadlineMs: number };
  readonly drain: { readonly timeoutMs: number; readonly onTimeout: "reset" | "fail" };
  /** Module of the release that the proxy process loads while two versions run; path inside the tarball. */
  readonly proxy?: {
    readonly module: string;
    /** What must have been seen before an older version may be retired; absent: nothing. */
    readonly compare?: {
      readonly differencesPerMillionMax: number;
      readonly requestsMin: number;
      readonly confidencePercent: number;
    };
  };
  /** Absent: the node's newest base image. */
  readonly image?: ImageChoice;
}

/** What a fleet key signs. `kind` keeps a signature over one sort of statement from serving for another. */
export type Statement =
  | {
      readonly kind: "release";
      readonly manifest: Manifest;
      readonly length: number;
      /** Hex, of the tarball */
      readonly sha256: string;
      /** Hex, BitTorrent v1 infohash of the tarball's torrent */
      readonly infohash: string;
    }
  | { readonly kind: "retire"; readonly service: string; readonly version: number };

/** The seam for TUF: a statement as signed bytes with signatures, as in a TUF envelope. */
export interface Envelope {
  readonly signed: Statement;
  readonly signatures: readonly { readonly keyid: string; readonly sig: string }[];
}
