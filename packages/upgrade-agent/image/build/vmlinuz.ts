/**
 * Finding the compressed kernel inside a bzImage (Linux, Documentation/arch/x86/boot.rst). Pure. Emulated machines
 * boot the unpacked ELF half a second faster, because they need not emulate the unpacking.
 */
import { AgentError } from "../../errors.ts";

const setupSectorsAt = 0x1f1;
const headerMagicAt = 0x202;
const payloadOffsetAt = 0x248;
const payloadLengthAt = 0x24c;
const sectorBytes = 512;
/** The length of the unpacked kernel, which the build appends to the payload. */
const sizeBytes = 4;

/** Magic of LZ4's "legacy" frame, which Debian's kernels use. */
const lz4Magic = 0x184c2102;

/** The LZ4 frame of the kernel. Throws E_IMAGE_BUILD when the file is none, or packed in another way. */
export function lz4Payload(bzImage: Buffer): Buffer {
  if (
    bzImage.length < payloadLengthAt + 4 ||
    bzImage.toString("latin1", headerMagicAt, headerMagicAt + 4) !== "HdrS"
  ) {
    throw new AgentError("E_IMAGE_BUILD", "The kernel is not a bzImage; use a kernel package of Debian.");
  }
  const setupSectors = bzImage[setupSectorsAt] || 4;
  const start = (setupSectors + 1) * sectorBytes + bzImage.readUInt32LE(payloadOffsetAt);
  const payload = bzImage.subarray(start, start + bzImage.readUInt32LE(payloadLengthAt) - sizeBytes);
  if (payload.length < 4 || payload.readUInt32LE(0) !== lz4Magic) {
    throw new AgentError(
      "E_IMAGE_BUILD",
      "The kernel is not packed with LZ4; use a kernel package of Debian 12.",
    );
  }
  return payload;
}
