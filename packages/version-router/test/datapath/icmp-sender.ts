/**
 * Sends one ICMP message from this namespace: `node icmp-sender.ts ADDRESS HEX`, started as an actor, see lab.ts. Of
 * either family; the kernel sums ICMPv6 itself (RFC 3542, 3.1).
 */
import koffi from "koffi";
import { isIpv6, parseIp } from "../../datapath/ip-address.ts";
import { sum } from "./packet.ts";

const AF_INET = 2;
const SOCK_RAW = 3;
const IPPROTO_ICMP = 1;
const AF_INET6 = 10;
const IPPROTO_ICMPV6 = 58;

const libc = koffi.load("libc.so.6");
const socket = libc.func("int socket(int, int, int)") as (...words: number[]) => number;
const sendto = libc.func("long sendto(int, void *, size_t, int, void *, unsigned int)") as (
  ...words: unknown[]
) => number;

const [address = "", hex = ""] = process.argv.slice(2);
const message = Buffer.from(hex, "hex");
const to = isIpv6(address) ? sockaddr6(address) : sockaddr4(address);
const fd = isIpv6(address)
  ? socket(AF_INET6, SOCK_RAW, IPPROTO_ICMPV6)
  : socket(AF_INET, SOCK_RAW, IPPROTO_ICMP);
if (!isIpv6(address)) message.writeUInt16BE(~sum(message) & 0xffff, 2);
if (sendto(fd, message, message.length, 0, to, to.length) < 0)
  throw new Error(`sendto: errno ${koffi.errno()}`);
process.on("disconnect", () => process.exit(0));
process.send?.({ id: 0 });

function sockaddr4(text: string): Buffer {
  const bytes = Buffer.alloc(16);
  bytes.writeUInt16LE(AF_INET, 0);
  bytes.set(text.split(".").map(Number), 4);
  return bytes;
}

function sockaddr6(text: string): Buffer {
  const bytes = Buffer.alloc(28);
  bytes.writeUInt16LE(AF_INET6, 0);
  bytes.set(parseIp(text), 8);
  return bytes;
}
