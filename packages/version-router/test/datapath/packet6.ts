/** Makes datagrams of IPv6 for the tests that quote them, without Ethernet. */
import { parseIp } from "../../datapath/ip-address.ts";
import { sum } from "./packet.ts";

const UDP = 17;

export interface DatagramPlan {
  readonly from: string;
  readonly to: string;
  readonly fromPort: number;
  readonly toPort: number;
  readonly payload: Uint8Array;
}

export function makePacket6({ from, to, fromPort, toPort, payload }: DatagramPlan): Buffer {
  const addresses = Buffer.concat([parseIp(from), parseIp(to)]);
  const bytes = 8 + payload.length;
  const start = Buffer.from("6000000000000040", "hex");
  start.writeUInt16BE(bytes, 4);
  start.writeUInt8(UDP, 6);
  const udp = Buffer.alloc(8);
  udp.writeUInt16BE(fromPort, 0);
  udp.writeUInt16BE(toPort, 2);
  udp.writeUInt16BE(bytes, 4);
  const pseudo = Buffer.from([bytes >>> 8, bytes & 0xff, 0, UDP]);
  udp.writeUInt16BE(~sum(Buffer.concat([addresses, pseudo, udp, payload])) & 0xffff || 0xffff, 6);
  return Buffer.concat([start, addresses, udp, payload]);
}
