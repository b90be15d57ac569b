/**
 * Packets of libvirt's RPC (virnetprotocol.x), and how a stream of bytes is cut into them. Pure.
 *
 *   0        4        8        12       16       20       24       28
 *   ┌────────┬────────┬────────┬────────┬────────┬────────┬────────┬─ ─ ─ ─ ─┐
 *   │ length │program │version │ proc.  │ type   │ serial │ status │ payload  │
 *   └────────┴────────┴────────┴────────┴────────┴────────┴────────┴─ ─ ─ ─ ─┘
 *
 * All fields are 32 bits, big-endian; `length` counts itself, header and payload.
 */
import { XdrError, XdrReader, XdrWriter } from "./xdr.ts";

/** Length field and header. */
export const HEADER_BYTES = 28;

/** Most bytes of one packet after its length field, `VIR_NET_MESSAGE_MAX`. */
export const PACKET_BYTES_MAX = 33_554_432;

/** `virNetMessageType`; packets with file descriptors and streams are never asked for. */
export const MessageType = { call: 0, reply: 1, event: 2 } as const;

/** `virNetMessageStatus` */
export const MessageStatus = { ok: 0, error: 1 } as const;

export interface Packet {
  readonly program: number;
  readonly version: number;
  readonly procedure: number;
  readonly type: number;
  readonly serial: number;
  readonly status: number;
  readonly payload: Buffer;
}

export function encodePacket(packet: Packet): Buffer {
  const length = HEADER_BYTES + packet.payload.length;
  if (length - 4 > PACKET_BYTES_MAX) throw new XdrError(`a packet of ${length} bytes is too long to send`);
  const header = new XdrWriter().uint(length).uint(packet.program).uint(packet.version).int(packet.procedure);
  header.int(packet.type).uint(packet.serial).int(packet.status);
  return Buffer.concat([header.bytes(), packet.payload]);
}

function decodePacket(bytes: Buffer): Packet {
  const reader = new XdrReader(bytes);
  reader.uint();
  const [program, version, procedure] = [reader.uint(), reader.uint(), reader.int()];
  const [type, serial, status] = [reader.int(), reader.uint(), reader.int()];
  return { program, version, procedure, type, serial, status, payload: bytes.subarray(HEADER_BYTES) };
}

/** Collects a stream and gives out the packets that are complete. */
export class PacketSplitter {
  #chunks: Buffer[] = [];
  #held = 0;

  /** Throws XdrError when the stream cannot be one of packets; it is of no use from then on. */
  push(chunk: Buffer): Packet[] {
    this.#chunks.push(chunk);
    this.#held += chunk.length;
    const packets: Packet[] = [];
    for (
      let length = this.#nextLength();
      length !== undefined && this.#held >= length;
      length = this.#nextLength()
    ) {
      const all = this.#joined();
      packets.push(decodePacket(all.subarray(0, length)));
      this.#chunks = [all.subarray(length)];
      this.#held -= length;
    }
    return packets;
  }

  /** Length field of the packet that begins here, once it has arrived. */
  #nextLength(): number | undefined {
    if (this.#held < 4) return undefined;
    const first = this.#chunks[0];
    const length = (first !== undefined && first.length >= 4 ? first : this.#joined()).readUInt32BE(0);
    if (length < HEADER_BYTES || length - 4 > PACKET_BYTES_MAX)
      throw new XdrError(`${length} is no packet's length`);
    return length;
  }

  #joined(): Buffer {
    const all = Buffer.concat(this.#chunks);
    this.#chunks = [all];
    return all;
  }
}
