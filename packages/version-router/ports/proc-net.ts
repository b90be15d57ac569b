/**
 * Reading the kernel's socket tables, `/proc/net/{tcp,tcp6,udp,udp6}`. Pure: it is handed their text.
 * Format: proc_pid_net(5); addresses are in host byte order, 32 bits at a time, ports in hex.
 */
import { isIpv6, parseIp } from "../datapath/ip-address.ts";

export interface ListeningSocket {
  readonly protocol: "tcp" | "udp";
  readonly port: number;
  /** Socket inode, by which its process is found; 0 when the kernel owns the socket. */
  readonly inode: number;
}

const TCP_LISTEN = "0A";
/** An unconnected UDP socket. */
const UDP_UNCONNECTED = "07";

/**
 * Sockets that would take what arrives at `serviceAddress`: those bound to it or to every address. One that
 * listens elsewhere, for example on loopback, is in nobody's way. Lines that make no sense are passed over.
 */
export function listeningSockets(
  table: string,
  protocol: "tcp" | "udp",
  serviceAddress: string,
): ListeningSocket[] {
  const own = hexAddress(serviceAddress);
  const state = protocol === "tcp" ? TCP_LISTEN : UDP_UNCONNECTED;
  return table.split("\n").flatMap((line) => {
    const columns = line.trim().split(/\s+/);
    const local = /^([0-9A-F]{8}|[0-9A-F]{32}):([0-9A-F]{4})$/.exec(columns[1] ?? "");
    if (local === null || columns[3] !== state) return [];
    const address = local[1] ?? "";
    const takes = /^0+$/.test(address) || address === own || address === `0000000000000000FFFF0000${own}`;
    const port = Number.parseInt(local[2] ?? "", 16);
    return takes ? [{ protocol, port, inode: Number(columns[9] ?? 0) }] : [];
  });
}

/** As x86-64 and arm64 print it: each four bytes as one little-endian number. */
function hexAddress(address: string): string {
  const bytes = parseIp(address);
  return (isIpv6(address) ? bytes : bytes.subarray(12)).swap32().toString("hex").toUpperCase();
}
