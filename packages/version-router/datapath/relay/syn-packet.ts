/**
 * A SYN or SYN-ACK of our own stack, given the option that the kernel's data path wants to see. Pure.
 *
 * Linux's own have 40 bytes of TCP header; the option makes them 56, the limit is 60. Byte diagrams in ../../mark.
 */
import { TCP_MARK_BYTES, encodeTcpMark, findTcpMark } from "../../mark/index.ts";
import type { Mark } from "../../mark/index.ts";
import { internetSum } from "./packet.ts";
import type { Endpoint } from "./endpoint.ts";

const IP_BYTES = 20;
const TCP_HEADER_BYTES_MAX = 60;
const PROTOCOL_TCP = 6;
const FLAG_SYN = 0x02;
const FLAG_ACK = 0x10;

/** What is known of a packet that our stack wants to send. */
export interface SynPacket {
  readonly source: Endpoint;
  readonly destination: Endpoint;
  readonly isAnswer: boolean;
  /** The IP header's identification: means nothing in these packets, so rules use it to say whose they are. */
  readonly identification: number;
  readonly tcpBytes: number;
}

/** Undefined when it is no plain SYN or SYN-ACK over IPv4, or carries data. Never throws. */
export function readSyn(packet: Buffer): SynPacket | undefined {
  if (packet.length < IP_BYTES + 20 || packet[0] !== 0x45 || packet[9] !== PROTOCOL_TCP) return undefined;
  const tcpBytes = ((packet[IP_BYTES + 12] ?? 0) >>> 4) * 4;
  const flags = packet[IP_BYTES + 13] ?? 0;
  if ((flags & FLAG_SYN) === 0 || packet.length !== IP_BYTES + tcpBytes) return undefined;
  return {
    source: { address: packet.readUInt32BE(12), port: packet.readUInt16BE(IP_BYTES) },
    destination: { address: packet.readUInt32BE(16), port: packet.readUInt16BE(IP_BYTES + 2) },
    isAnswer: (flags & FLAG_ACK) !== 0,
    identification: packet.readUInt16BE(4),
    tcpBytes,
  };
}

/** The mark among the options of a SYN, from its IP header on; undefined when there is none. Never throws. */
export function markOfSyn(headers: Buffer): Mark | undefined {
  const tcp = ((headers[0] ?? 0) & 0x0f) * 4;
  if (headers.length < tcp + 20) return undefined;
  const tcpBytes = ((headers[tcp + 12] ?? 0) >>> 4) * 4;
  return findTcpMark(headers.subarray(tcp + 20, tcp + tcpBytes));
}

/** The packet with the mark as its last option, sums made anew; undefined when there is no room. */
export function withOption(packet: Buffer, { tcpBytes }: SynPacket, mark: Mark): Buffer | undefined {
  const grown = tcpBytes + TCP_MARK_BYTES;
  if (grown > TCP_HEADER_BYTES_MAX) return undefined;
  const marked = Buffer.concat([packet, encodeTcpMark(mark)]);
  marked.writeUInt16BE(marked.length, 2);
  marked.writeUInt16BE(0, 4);
  marked.writeUInt16BE(0, 10);
  marked[IP_BYTES + 12] = (grown / 4) << 4;
  marked.writeUInt16BE(0, IP_BYTES + 16);
  const sum = internetSum(marked, 12, 8 + grown, PROTOCOL_TCP + grown);
  marked.writeUInt16BE(0xffff - sum, IP_BYTES + 16);
  return marked;
}
