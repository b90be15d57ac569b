/**
 * Copies frames between a tap `eth0` in this network namespace and a tap in another, as QEMU does for its guest: each
 * frame with its virtio header, so that unfinished checksums and segmentation pass through. Started by lab.ts as
 * `node tap-cable.ts NAMESPACE-FILE INTERFACE on|off`; `off` refuses offloads, as a guest without them would.
 */
import { closeSync, openSync, read, writeSync } from "node:fs";
import koffi from "koffi";

const TUNSETIFF = 0x400454ca;
const TUNSETOFFLOAD = 0x400454d0;
const IFF_TAP = 0x0002;
const IFF_NO_PI = 0x1000;
const IFF_VNET_HDR = 0x4000;
/** TUN_F_CSUM, TSO4, TSO6, TSO_ECN. */
const OFFLOADS = 0x0f;
const CLONE_NEWNET = 0x40000000;
const FRAME_BYTES_MAX = 66_000;

const libc = koffi.load("libc.so.6");
const setns = libc.func("int setns(int, int)");
const ioctlPointer = libc.func("int ioctl(int, unsigned long, void *)");
const ioctlNumber = libc.func("int ioctl(int, unsigned long, unsigned long)");

function openTap(name: string, offloads: number): number {
  const fd = openSync("/dev/net/tun", "r+");
  const request = Buffer.alloc(40);
  request.write(name);
  request.writeUInt16LE(IFF_TAP | IFF_NO_PI | IFF_VNET_HDR, 16);
  if (ioctlPointer(fd, TUNSETIFF, request) !== 0) throw new Error(`TUNSETIFF ${name}: ${koffi.errno()}`);
  if (ioctlNumber(fd, TUNSETOFFLOAD, offloads) !== 0)
    throw new Error(`TUNSETOFFLOAD ${name}: ${koffi.errno()}`);
  return fd;
}

function copy(from: number, to: number): void {
  const buffer = Buffer.alloc(FRAME_BYTES_MAX);
  const next = (): void =>
    read(from, buffer, 0, buffer.length, null, (error, bytes) => {
      if (error !== null) return;
      try {
        writeSync(to, buffer, 0, bytes);
      } catch {
        // The other interface is down: the frame is lost, as on any cable.
      }
      next();
    });
  next();
}

const [namespace = "", name = "", offload = ""] = process.argv.slice(2);
const offloads = offload === "on" ? OFFLOADS : 0;
const guest = openTap("eth0", offloads);
const namespaceFd = openSync(namespace, "r");
if (setns(namespaceFd, CLONE_NEWNET) !== 0) throw new Error(`setns ${namespace}: ${koffi.errno()}`);
closeSync(namespaceFd);
const host = openTap(name, offloads);
copy(guest, host);
copy(host, guest);
process.on("disconnect", () => process.exit(0));
process.send?.({ id: 0 });
