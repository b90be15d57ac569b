/** What the life cycle needs of images: a store by content, and a private copy-on-write disk per domain. */
import type { DiskKind, DomainDisk, DomainIdentity } from "../domain/hypervisor.ts";

export interface BaseImage {
  /** SHA-256 over the recipe: packages, their versions, our own files. Hex. */
  readonly digest: string;
  readonly directory: string;
  readonly bytes: number;
  readonly builtAtMs: number;
}

/**
 * `base`: built here from Debian packages. `root`: a root file system that was unpacked from an OCI archive or a
 * tarball, with our tools in it. `disk`: a cloud image that boots by itself.
 */
export type ImageKind = "base" | "root" | "disk";

export interface StoredImage {
  readonly kind: ImageKind;
  /** Of a base: over its recipe. Else SHA-256 of the file that was imported. Hex; what a manifest names. */
  readonly digest: string;
  readonly directory: string;
  /** On disk. */
  readonly bytes: number;
  readonly builtAtMs: number;
  /** Where it came from, for people: a file name, a release. */
  readonly source?: string;
  readonly format?: ImportFormat;
  /** Digest of the base whose kernel and tools it was made with. */
  readonly base?: string;
  /** Devices and pipes of the image that were left out. */
  readonly skippedEntries?: number;
  /** What `vm-entrypoint` starts in it. */
  readonly command?: readonly string[];
}

export type ImportFormat = "qcow2" | "raw" | "oci-archive" | "docker-archive" | "tarball" | "directory";

export interface ImportRequest {
  /** A file, or a directory that holds a root file system. */
  readonly path: string;
  /** For people. Default: the file's name. */
  readonly source?: string;
  /** What it shall be; else it is refused with E_IMAGE_ALTERED. Hex SHA-256 of the file. */
  readonly digest?: string;
  readonly onProgress?: (step: string) => void;
  readonly signal?: AbortSignal | undefined;
}

/** Which image a disk is made on. */
export interface DiskImage {
  /** Absent: the newest base. */
  readonly digest?: string;
  /** A release's own kernel and initramfs, copied beside the disk. */
  readonly boot?: { readonly kernel: string; readonly initramfs: string };
  /** Most that a container's disk may take, and least that a cloud image's disk has, MiB. Our own disks have 8 GiB. */
  readonly sizeMiB?: number;
}

export interface PruneRequest {
  /** Unused ones that are older than this go, ms. Default 0: all. */
  readonly olderThanMs?: number;
  /** Unused ones go, oldest first, until all images together take at most this. Absent: no budget. */
  readonly bytesMax?: number;
  /** Only says what would go. */
  readonly dryRun?: boolean;
  readonly signal?: AbortSignal | undefined;
}

export interface PruneReport {
  readonly removed: readonly { readonly digest: string; readonly kind: ImageKind; readonly bytes: number }[];
  readonly kept: readonly {
    readonly digest: string;
    readonly kind: ImageKind;
    readonly why: "used" | "newest base" | "young" | "within budget";
  }[];
  readonly freedBytes: number;
}

export interface ListedImage extends StoredImage {
  /** Disks that are made on it, as far as their nodes renew their claims. */
  readonly uses: readonly string[];
  readonly newest: boolean;
}

/** What a private disk was made of, and how far it is: never booted, on the way to a clone of a spare, in use. */
export interface DiskOrigin {
  readonly state: "fresh" | "cloning" | "used";
  /** Of its base, and of its image where that is another. */
  readonly digests: readonly string[];
  readonly kind: ImageKind;
  readonly ownKernel: boolean;
}

/** What warm spares do with disks of kind qcow2. All calls are idempotent. */
export interface SpareDisks {
  /** Undefined when there is no such disk. */
  diskOrigin(name: string): Promise<DiskOrigin | undefined>;
  /** The disk is in use from now on: about to be booted, or a clone that is complete. */
  useDisk(name: string): Promise<void>;
  /** The machine of this disk was saved: it is never written again. */
  freezeDisk(name: string): Promise<void>;
  /** Puts a fresh disk onto the frozen one of a spare; it is "cloning" until `useDisk` or `renewDisk`. */
  stackDisk(name: string, spare: string): Promise<void>;
  /** All that was written to it is gone, and it is fresh. */
  renewDisk(name: string): Promise<void>;
}

export interface ImageStore extends SpareDisks {
  /** The newest base that can be booted, or undefined when none was built. */
  base(): Promise<BaseImage | undefined>;
  /** Builds the base unless one of the same digest exists. `onProgress` gets one short sentence per step. */
  build(options: {
    readonly onProgress?: (step: string) => void;
    readonly signal?: AbortSignal;
  }): Promise<BaseImage>;
  /**
   * Takes an image from a file, unless it is here. Throws E_IMAGE_FORMAT, E_IMAGE_ALTERED, E_TOO_LARGE, E_DISK_FULL,
   * E_NO_BASE_IMAGE, E_NOT_ROOT; then nothing of it is left.
   */
  import(request: ImportRequest): Promise<StoredImage>;
  list(): Promise<readonly ListedImage[]>;
  /** Throws E_NO_IMAGE. */
  inspect(digest: string): Promise<ListedImage>;
  /** Removes images that nothing uses. One that is in use, and the newest base, are never touched. */
  prune(request: PruneRequest): Promise<PruneReport>;
  /** Says again that the disks here use their images; otherwise the claims lapse after a week. */
  renewUses(): Promise<void>;
  /** The disk called `name` when it is complete and of this kind. */
  findDisk(name: string, kind: DiskKind): Promise<DomainDisk | undefined>;
  /**
   * Makes (or finds again) the private disk called `name`. Copy-on-write, never a copy. Throws `E_NO_BASE_IMAGE`,
   * `E_NO_IMAGE`, `E_IMAGE_UNFIT`, `E_DISK_FULL`; after a failure nothing of the disk is left.
   */
  prepareDisk(name: string, kind: DiskKind, image?: DiskImage): Promise<DomainDisk>;
  /** Tells a disk with a boot loader of its own who its domain is; every other disk is left alone. */
  writeSeed(disk: DomainDisk, identity: DomainIdentity): Promise<void>;
  /** Unmounts and removes; an absent disk is fine. */
  removeDisk(name: string): Promise<void>;
  /** Names of the disks that exist now. */
  listDisks(): Promise<readonly string[]>;
}
