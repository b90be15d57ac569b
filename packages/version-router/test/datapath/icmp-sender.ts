/** Sends one ICMP message from this namespace: `node icmp-sender.ts ADDRESS HEX`, started as an actor, see lab.ts. */
import koffi from "koffi";
import { sum } from "./packet.ts";

const AF_INET = 2;
const SOCK_RAW = 3;
const IPPROTO_ICMP = 1;

const libc = koffi.load("libc.so.6");
const socket = libc.func("int socket(int, int, int)") as (...words: number[]) => number;
const sendto = libc.func("long sendto(int, void *, size_t, int, void *, unsigned int)") as (
  ...words: unknown[]
) => number;

const [address = "", hex = ""] = process.argv.slice(2);
const message = Buffer.from(hex, "hex");
message.writeUInt16BE(~sum(message) & 0xffff, 2);
const to = Buffer.alloc(16);
to.writeUInt16LE(AF_INET, 0);
to.set(address.split(".").map(Number), 4);
const fd = socket(AF_INET, SOCK_RAW, IPPROTO_ICMP);
if (sendto(fd, message, message.length, 0, to, to.length) < 0)
  throw new Error(`sendto: errno ${koffi.errno()}`);
process.on("disconnect", () => process.exit(0));
process.send?.({ id: 0 });
