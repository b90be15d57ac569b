/** Every cap on an image from outside, in one place (repeated for people in docs/LIMITS.md). */
const MIB = 1024 ** 2;
const GIB = 1024 * MIB;

/** Bytes of the file that is imported. */
export const IMAGE_FILE_BYTES_MAX = 32 * GIB;
/** Bytes of a root once unpacked, all layers together, tar headers included; what a bomb is measured against. */
export const ROOT_BYTES_MAX = 7 * GIB;
/** Files, directories and links, all layers together. */
export const ROOT_ENTRIES_MAX = 500_000;
export const LAYERS_MAX = 128;
/** Entries of the archive around the layers. */
export const ARCHIVE_ENTRIES_MAX = 4_096;
/** Bytes of a manifest, an index, a configuration. */
export const DOCUMENT_BYTES_MAX = 4 * MIB;
/** Bytes of an extended header of one tar entry. */
export const TAR_HEADER_BYTES_MAX = MIB;
export const PATH_BYTES_MAX = 4_095;
/** Size that a cloud image's disk may claim to have, bytes. */
export const DISK_BYTES_MAX = 256 * GIB;
/** Ids beyond have no place in a container's user namespace. */
export const ID_MAX = 65_535;
/** A release's own kernel and initramfs, bytes. */
export const KERNEL_BYTES_MAX = 128 * MIB;
export const INITRAMFS_BYTES_MAX = 512 * MIB;
