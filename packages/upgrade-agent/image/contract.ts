/** What the life cycle needs of images: a base shared by all, and a private copy-on-write disk per domain. */
import type { DomainDisk } from "../domain/hypervisor.ts";

export interface BaseImage {
  /** SHA-256 over the recipe: packages, their versions, our own files. Hex. */
  readonly digest: string;
  readonly directory: string;
  readonly bytes: number;
  readonly builtAtMs: number;
}

export interface ImageStore {
  /** The newest base that can be booted, or undefined when none was built. */
  base(): Promise<BaseImage | undefined>;
  /** Builds the base unless one of the same digest exists. `onProgress` gets one short sentence per step. */
  build(options: {
    readonly onProgress?: (step: string) => void;
    readonly signal?: AbortSignal;
  }): Promise<BaseImage>;
  /**
   * Makes (or finds again) the private disk called `name` on the newest base. Copy-on-write, never a copy.
   * Throws `E_NO_BASE_IMAGE`, `E_DISK_FULL`; after a failure nothing of the disk is left.
   */
  prepareDisk(name: string, kind: DomainDisk["kind"]): Promise<DomainDisk>;
  /** Unmounts and removes; an absent disk is fine. */
  removeDisk(name: string): Promise<void>;
  /** Names of the disks that exist now. */
  listDisks(): Promise<readonly string[]>;
}
