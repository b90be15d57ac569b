/**
 * IPv4 and UDP headers, written in front of a payload that is in place already. Pure.
 *
 * The relay sends whole packets, because a datagram's source must be the peer's address and port; one socket is enough
 * for all of them.
 */
import type { Endpoint } from "./endpoint.ts";

export const IP_BYTES = 20;
export const UDP_BYTES = 8;
export const HEADER_BYTES = IP_BYTES + UDP_BYTES;

const VERSION_AND_LENGTH = 0x45;
const DONT_FRAGMENT = 0x4000;
const TTL = 64;
const PROTOCOL_UDP = 17;

/**
 * Writes the headers of a datagram of `payloadBytes` that starts at `at + HEADER_BYTES`; `at` is even, and one byte is
 * free after the payload. The kernel fills the IP header's length, identification and checksum.
 */
export function writeHeaders(
  packet: Buffer,
  at: number,
  source: Endpoint,
  destination: Endpoint,
  payloadBytes: number,
): void {
  const udpBytes = UDP_BYTES + payloadBytes;
  packet.writeUInt16BE(VERSION_AND_LENGTH << 8, at);
  packet.writeUInt16BE(IP_BYTES + udpBytes, at + 2);
  packet.writeUInt16BE(0, at + 4);
  packet.writeUInt16BE(DONT_FRAGMENT, at + 6);
  packet.writeUInt16BE((TTL << 8) | PROTOCOL_UDP, at + 8);
  packet.writeUInt16BE(0, at + 10);
  packet.writeUInt32BE(source.address, at + 12);
  packet.writeUInt32BE(destination.address, at + 16);
  const udp = at + IP_BYTES;
  packet.writeUInt16BE(source.port, udp);
  packet.writeUInt16BE(destination.port, udp + 2);
  packet.writeUInt16BE(udpBytes, udp + 4);
  packet.writeUInt16BE(0, udp + 6);
  const checksum = 0xffff - internetSum(packet, at + 12, 8 + udpBytes, PROTOCOL_UDP + udpBytes);
  packet.writeUInt16BE(checksum === 0 ? 0xffff : checksum, udp + 6);
}

/**
 * One's-complement sum (RFC 1071) of 16-bit words in network order, with `start` added. An odd last byte is padded with a
 * zero, which is written behind it.
 */
export function internetSum(packet: Buffer, from: number, bytes: number, start: number): number {
  if (bytes % 2 === 1) packet[from + bytes] = 0;
  let sum = start;
  for (let at = from; at < from + bytes; at += 2) sum += ((packet[at] ?? 0) << 8) | (packet[at + 1] ?? 0);
  while (sum > 0xffff) sum = (sum & 0xffff) + Math.floor(sum / 0x10000);
  return sum;
}
