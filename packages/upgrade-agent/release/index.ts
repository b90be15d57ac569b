export type * from "./contract.ts";
export { checkDigest, digestFile, type Digest } from "./digest.ts";
export { inspectRelease, type Inspection, type InspectOptions } from "./inspect.ts";
export * from "./limits.ts";
export { checkManifest, parseManifest } from "./manifest.ts";
export { packRelease, tarballName, type PackedRelease, type PackProgress, type PackRequest } from "./pack.ts";
export type { ListedRelease, ReleaseStatement, StoredRelease } from "./reader.ts";
export { createReleaseStore, ReleaseStore, type ReleaseStoreOptions } from "./store.ts";
