/** ICMP errors: which flow or which domain they are about (RFC 792, RFC 4443). */
import { decodeUdpMark } from "../../../../mark/index.ts";
import { addressAt, isReserved6 } from "./address.ts";
import { MARK_BYTES } from "./frame.ts";
import { adjust, wordsOf } from "./sums.ts";
import { PROTOCOL } from "./world.ts";
import type { Ip } from "./frame.ts";
import type { Flow, Slot, World } from "./world.ts";

const ERROR_TYPES: readonly number[] = [3, 11, 12];
const ERROR_TYPES6: readonly number[] = [1, 2, 3, 4];
const MTU_MIN6 = 1280;

interface Quote {
  readonly from: string;
  readonly to: string;
  readonly fromPort: number;
  readonly toPort: number;
  readonly protocol: number;
  readonly l4: number;
}

/** Undefined when it is no error, or quotes nothing that can be ours. */
function readQuote(frame: Buffer, { l4, isV6 }: Ip): Quote | undefined {
  const at = l4 + 8;
  const quotedL4 = at + (isV6 ? 40 : 20);
  if (frame.length < quotedL4 + 4) return undefined;
  if (!(isV6 ? ERROR_TYPES6 : ERROR_TYPES).includes(frame.readUInt8(l4))) return undefined;
  if (!isV6 && (frame.readUInt8(at) & 0x0f) !== 5) return undefined;
  const [first, bytes] = isV6 ? [at + 8, 16] : [at + 12, 4];
  const from = addressAt(frame, first, bytes);
  const to = addressAt(frame, first + bytes, bytes);
  if (isV6 && (isReserved6(from) || isReserved6(to))) return undefined;
  return {
    from,
    to,
    fromPort: frame.readUInt16BE(quotedL4),
    toPort: frame.readUInt16BE(quotedL4 + 2),
    protocol: frame.readUInt8(at + (isV6 ? 6 : 9)),
    l4: quotedL4,
  };
}

/** The flow that an error is about. It quotes a packet of the direction that it does not travel in. */
export function quotedFlow(
  world: World,
  frame: Buffer,
  ip: Ip,
  sender: "domain" | "remote",
): Flow | undefined {
  const quote = readQuote(frame, ip);
  if (quote === undefined) return undefined;
  const { from, to, fromPort, toPort, protocol } = quote;
  if ((sender === "domain" ? to : from) !== (sender === "domain" ? ip.from : ip.to)) return undefined;
  return sender === "domain"
    ? world.flow({ remote: from, remotePort: fromPort, localPort: toPort, protocol })
    : world.flow({ remote: to, remotePort: toPort, localPort: fromPort, protocol });
}

/** The domain whose marked datagram a router on the way quotes. */
export function quotedSlot(world: World, frame: Buffer, ip: Ip): Slot | undefined {
  const quote = readQuote(frame, ip);
  if (quote?.protocol !== PROTOCOL.udp || quote.from !== ip.to) return undefined;
  const mark = decodeUdpMark(frame.subarray(quote.l4 + 8));
  return mark === undefined ? undefined : world.slotOfVersion(mark.tag, mark.version)?.[1];
}

/** "Fragmentation needed" (RFC 1191), "packet too big" (RFC 8201) tell the domain what is left beside the mark. */
export function withRoomForMark(frame: Buffer, ip: Ip): Buffer {
  const { l4 } = ip;
  const changed = Buffer.from(frame);
  if (ip.isV6) {
    const mtu = frame.readUInt32BE(l4 + 4);
    if (frame.readUInt8(l4) !== 2 || mtu <= MTU_MIN6) return frame;
    const less = Math.max(mtu - MARK_BYTES, MTU_MIN6);
    changed.writeUInt32BE(less, l4 + 4);
    changed.writeUInt16BE(adjust(frame.readUInt16BE(l4 + 2), wordsOf(mtu), wordsOf(less)), l4 + 2);
    return changed;
  }
  const mtu = frame.readUInt16BE(l4 + 6);
  if (frame.readUInt16BE(l4) !== 0x0304 || mtu <= MARK_BYTES) return frame;
  changed.writeUInt16BE(mtu - MARK_BYTES, l4 + 6);
  changed.writeUInt16BE(adjust(frame.readUInt16BE(l4 + 2), mtu, mtu - MARK_BYTES), l4 + 2);
  return changed;
}
