/** Base images and the private disks of domains. */
import type { ImageStore } from "./contract.ts";
import { FileImageStore, type ImageStoreOptions } from "./store.ts";

export type {
  BaseImage,
  DiskImage,
  ImageStore,
  ImportRequest,
  ListedImage,
  PruneReport,
  PruneRequest,
  StoredImage,
} from "./contract.ts";
export { basePaths, type BasePaths } from "./bases.ts";
export { digestPattern } from "./images.ts";
export { INITRAMFS_BYTES_MAX, KERNEL_BYTES_MAX } from "./import/limits.ts";
export type { ImageStoreOptions } from "./store.ts";
export { idCount, idShift } from "./build/shift.ts";

export function createImageStore(options: ImageStoreOptions): ImageStore {
  return new FileImageStore(options);
}
