/** Base images and the private disks of domains. */
import type { ImageStore } from "./contract.ts";
import { FileImageStore, type ImageStoreOptions } from "./store.ts";

export type { BaseImage, ImageStore } from "./contract.ts";
export type { ImageStoreOptions } from "./store.ts";
export { idCount, idShift } from "./build/shift.ts";

export function createImageStore(options: ImageStoreOptions): ImageStore {
  return new FileImageStore(options);
}
