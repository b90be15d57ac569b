/** What sort of packet a case is, as far as its frame tells. Pure; for the count at the end of a run. */
import { decodeUdpMark, findTcpMark } from "../../../mark/index.ts";
import { PROTOCOL } from "./model/world.ts";
import type { PacketStep } from "./steps.ts";

const L4 = 34;
const SYN = 0x02;
const ETHER_TYPES: Readonly<Record<number, string>> = { 0x0806: "ARP", 0x86dd: "IPv6", 0x8100: "VLAN" };

const HOOKS = { tap_ingress: "from a domain", tap_egress: "to a domain", uplink_ingress: "from the network" };

export function kindOf({ program, gsoSize, frame }: PacketStep): string {
  return `${gsoSize > 0 ? "left to be cut" : contentOf(frame)} ${HOOKS[program]}`;
}

function contentOf(frame: Buffer): string {
  const type = frame.readUInt16BE(12);
  if (type !== 0x0800) return ETHER_TYPES[type] ?? "other frame";
  if (frame.length < L4 || frame[14] !== 0x45 || frame.readUInt16BE(16) + 14 > frame.length)
    return "broken IPv4";
  if ((frame.readUInt16BE(20) & 0x3fff) !== 0) return "fragment";
  const end = 14 + frame.readUInt16BE(16);
  const protocol = frame.readUInt8(23);
  if (protocol === PROTOCOL.udp && end >= L4 + 8)
    return decodeUdpMark(frame.subarray(L4 + 8, end)) === undefined ? "UDP" : "marked UDP";
  if (protocol !== PROTOCOL.tcp || end < L4 + 20) return protocol === 1 ? "ICMP" : "other IPv4";
  if ((frame.readUInt8(L4 + 13) & SYN) === 0) return "TCP segment";
  const options = frame.subarray(L4 + 20, Math.min(end, L4 + (frame.readUInt8(L4 + 12) >>> 4) * 4));
  return findTcpMark(options) === undefined ? "SYN" : "marked SYN";
}
