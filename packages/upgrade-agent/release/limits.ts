/**
 * Every cap on a release, in one place (repeated for people in docs/MANIFEST.md). Whatever comes from outside is held
 * to its cap before it is parsed, unpacked or kept.
 */

const KIB = 1024;
const MIB = 1024 * KIB;
const GIB = 1024 * MIB;

/** Bytes of `version.json`. A manifest with six hooks of the longest kind stays below it. */
export const MANIFEST_BYTES_MAX = 64 * KIB;

/** Bytes of a tarball, compressed. The default of `packRelease`; raising it costs every node that much disk. */
export const RELEASE_BYTES_MAX = 2 * GIB;

/** Bytes of a release once unpacked, tar headers included: what a zip bomb is measured against. */
export const UNPACKED_BYTES_MAX = 8 * GIB;

/** Files, directories and links in a tarball. Each costs the reader about 200 bytes while it looks. */
export const ENTRIES_MAX = 200_000;

/** Bytes of one path inside a tarball, as Linux has it (PATH_MAX less the directory it is unpacked to). */
export const PATH_BYTES_MAX = 3 * KIB;

/** Ports of one kind that a manifest may declare. */
export const PORTS_MAX = 32;

/** Characters of one hook's command. Longer ones belong into a script inside the release. */
export const COMMAND_CHARACTERS_MAX = 8 * KIB;
