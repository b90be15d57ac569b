/** ICMP errors, by what they quote. */
import { decodeUdpMark } from "../../../../mark/index.ts";
import { L4, MARK_BYTES } from "./frame.ts";
import { adjust } from "./sums.ts";
import { PROTOCOL } from "./world.ts";
import type { Flow, Slot, World } from "./world.ts";

const ERROR_TYPES: readonly number[] = [3, 11, 12];
const QUOTE = L4 + 8;

/** The flow that an error is about. It quotes a packet of the direction that it does not travel in. */
export function quotedFlow(world: World, frame: Buffer, sender: "domain" | "remote"): Flow | undefined {
  if (frame.length < QUOTE + 24 || !ERROR_TYPES.includes(frame.readUInt8(L4))) return undefined;
  if ((frame.readUInt8(QUOTE) & 0x0f) !== 5) return undefined;
  const first = { address: frame.readUInt32BE(QUOTE + 12), port: frame.readUInt16BE(QUOTE + 20) };
  const second = { address: frame.readUInt32BE(QUOTE + 16), port: frame.readUInt16BE(QUOTE + 22) };
  const [local, remote] = sender === "domain" ? [second, first] : [first, second];
  if (local.address !== world.address) return undefined;
  const protocol = frame.readUInt8(QUOTE + 9);
  return world.flow({ remote: remote.address, remotePort: remote.port, localPort: local.port, protocol });
}

/** The domain whose marked datagram a router on the way quotes. */
export function quotedSlot(world: World, frame: Buffer): Slot | undefined {
  if (frame.length < QUOTE + 24 || !ERROR_TYPES.includes(frame.readUInt8(L4))) return undefined;
  if ((frame.readUInt8(QUOTE) & 0x0f) !== 5 || frame.readUInt8(QUOTE + 9) !== PROTOCOL.udp) return undefined;
  if (frame.readUInt32BE(QUOTE + 12) !== world.address) return undefined;
  const mark = decodeUdpMark(frame.subarray(QUOTE + 28));
  return mark === undefined ? undefined : world.slotOfVersion(mark.tag, mark.version)?.[1];
}

/** "Fragmentation needed" (RFC 1191) tells the domain what is left beside the mark. */
export function withRoomForMark(frame: Buffer): Buffer {
  const mtu = frame.readUInt16BE(L4 + 6);
  if (frame.readUInt16BE(L4) !== 0x0304 || mtu <= MARK_BYTES) return frame;
  const changed = Buffer.from(frame);
  changed.writeUInt16BE(mtu - MARK_BYTES, L4 + 6);
  changed.writeUInt16BE(adjust(frame.readUInt16BE(L4 + 2), mtu, mtu - MARK_BYTES), L4 + 2);
  return changed;
}
