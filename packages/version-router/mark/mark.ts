/** What a mark says, in whichever form it travels. Numbers and their bounds; the bytes are in the codecs beside. */
import type { AdvertisedStatus, Advertisement } from "../control/contract.ts";

export interface Mark {
  /** Tag of the service's name, 1…65535, see `serviceTag`. */
  readonly tag: number;
  /** The sender's version, 1…2²⁸−1. */
  readonly version: number;
  /** Undefined when its status is one that this release does not know: the mark still delivers the packet. */
  readonly advertisement: Advertisement | undefined;
}

/** The only format so far; a receiver treats any other as unmarked. */
export const MARK_FORMAT = 1;

/** ASCII `VR`: opens the UDP header, and is the experiment's identifier (ExID, RFC 6994) of the TCP option. */
export const MARK_MAGIC = 0x5652;

/** Largest version number: 28 bits. */
export const VERSION_MAX = 0x0fff_ffff;

const STATUSES: readonly AdvertisedStatus[] = ["running", "available", "retired", "aborted"];

/** `status` (4 bits, 1…4) over `version` (28 bits). Throws RangeError on a version out of 1…2²⁸−1. */
export function packAdvertisement(advertisement: Advertisement): number {
  assertVersion(advertisement.version);
  const status = STATUSES.indexOf(advertisement.status) + 1;
  return ((status << 28) | advertisement.version) >>> 0;
}

/** Undefined when the word holds a status that this release does not know, or no version. */
export function unpackAdvertisement(word: number): Advertisement | undefined {
  const status = STATUSES[(word >>> 28) - 1];
  const version = word & VERSION_MAX;
  return status === undefined || version === 0 ? undefined : { version, status };
}

/** Format (4 bits) over the sender's version (28 bits). Throws RangeError on a version out of range. */
export function packSender(version: number): number {
  assertVersion(version);
  return ((MARK_FORMAT << 28) | version) >>> 0;
}

/** The sender's version, or undefined when the format is another one or the version is 0. */
export function unpackSender(word: number): number | undefined {
  const version = word & VERSION_MAX;
  return word >>> 28 !== MARK_FORMAT || version === 0 ? undefined : version;
}

export function assertTag(tag: number): void {
  if (!Number.isInteger(tag) || tag < 1 || tag > 0xffff) {
    throw new RangeError(`A service tag is 1…65535, not ${tag}; make it with serviceTag(name).`);
  }
}

function assertVersion(version: number): void {
  if (!Number.isInteger(version) || version < 1 || version > VERSION_MAX) {
    throw new RangeError(`A version is 1…${VERSION_MAX}, not ${version}; number releases from 1.`);
  }
}
