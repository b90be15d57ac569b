/**
 * The relay's sockets: transparent ones, which accept for and speak from any address; addresses as numbers; options.
 * File descriptors are plain numbers here, owned by whoever asked for them.
 */
import { RouterError } from "../../errors.ts";
import { ERRNO, LINUX, errorName, sys } from "./system-calls.ts";
import type { Endpoint } from "./endpoint.ts";

export const SOCKADDR_BYTES = 16;
const LOOPBACK = 0x7f000001;
const BACKLOG = 4096;
/** IPv4 and TCP headers at their longest. */
const SAVED_SYN_BYTES_MAX = 120;
/** struct ifreq: 16 bytes of name, then a union that begins with the flags. */
const IFREQ_BYTES = 40;
const IFREQ_FLAGS_AT = 16;
/** A burst of datagrams that a busy thread may still catch up with; the kernel caps it at net.core.rmem_max. */
const DATAGRAM_BUFFER_BYTES = 4 * 1024 * 1024;
/** Ends that vanished without a word are noticed after this and nine probes more. */
const KEEPALIVE_IDLE_S = 600;

export function writeSockaddr(to: Buffer, at: number, { address, port }: Endpoint): void {
  to.fill(0, at, at + SOCKADDR_BYTES);
  to.writeUInt16LE(LINUX.AF_INET, at);
  to.writeUInt16BE(port, at + 2);
  to.writeUInt32BE(address, at + 4);
}

export function readSockaddr(from: Buffer, at: number): Endpoint {
  return { address: from.readUInt32BE(at + 4), port: from.readUInt16BE(at + 2) };
}

function sockaddr(endpoint: Endpoint): Buffer {
  const bytes = Buffer.alloc(SOCKADDR_BYTES);
  writeSockaddr(bytes, 0, endpoint);
  return bytes;
}

/** Throws E_KERNEL: without its sockets there is no relay. */
function must(what: string, result: number): number {
  if (result >= 0) return result;
  const message = `The relay cannot ${what} (${errorName(result)}); run it as root, see vm-router --check.`;
  throw new RouterError("E_KERNEL", message);
}

function setNumber(fd: number, level: number, option: number, value: number): number {
  const bytes = Buffer.alloc(4);
  bytes.writeInt32LE(value);
  return sys.setsockopt(fd, level, option, bytes, bytes.length);
}

function transparent(fd: number): number {
  return setNumber(fd, LINUX.IPPROTO_IP, LINUX.IP_TRANSPARENT, 1);
}

function open(type: number, protocol: number): number {
  return sys.socket(LINUX.AF_INET, type | LINUX.SOCK_NONBLOCK | LINUX.SOCK_CLOEXEC, protocol);
}

export function localEndpoint(fd: number): Endpoint {
  const bytes = Buffer.alloc(SOCKADDR_BYTES);
  const length = Buffer.from(Uint32Array.of(SOCKADDR_BYTES).buffer);
  sys.getsockname(fd, bytes, length);
  return readSockaddr(bytes, 0);
}

/** Where nftables sends SYNs to: loopback, a port of the kernel's choice, so that nobody outside reaches it. */
export function listenForStreams(): number {
  return listen(must("open a socket", open(LINUX.SOCK_STREAM, LINUX.IPPROTO_TCP)));
}

/**
 * As `listenForStreams`, for SYNs that bear the kernel data path's option: keeps each SYN for `savedSyn`, and has its
 * answers marked so that rules give them the option too.
 */
export function listenForOptions(answerMark: number): number {
  const fd = must("open a socket", open(LINUX.SOCK_STREAM, LINUX.IPPROTO_TCP));
  must("keep SYNs", setNumber(fd, LINUX.IPPROTO_TCP, LINUX.TCP_SAVE_SYN, 1));
  must("set a mark", setNumber(fd, LINUX.SOL_SOCKET, LINUX.SO_MARK, answerMark));
  return listen(fd);
}

function listen(fd: number): number {
  must("use IP_TRANSPARENT", transparent(fd));
  // What it accepts bears the node's address and a client port: a proxy must be able to listen there meanwhile.
  must("share ports", setNumber(fd, LINUX.SOL_SOCKET, LINUX.SO_REUSEADDR, 1));
  must("bind to loopback", sys.bind(fd, sockaddr({ address: LOOPBACK, port: 0 }), SOCKADDR_BYTES));
  must("listen", sys.listen(fd, BACKLOG));
  return fd;
}

/** Where nftables sends datagrams to; each comes with its original destination. */
export function listenForDatagrams(): number {
  const fd = must("open a socket", open(LINUX.SOCK_DGRAM, LINUX.IPPROTO_UDP));
  must("use IP_TRANSPARENT", transparent(fd));
  must("see destinations", setNumber(fd, LINUX.IPPROTO_IP, LINUX.IP_RECVORIGDSTADDR, 1));
  setNumber(fd, LINUX.SOL_SOCKET, LINUX.SO_RCVBUF, DATAGRAM_BUFFER_BYTES);
  must("bind to loopback", sys.bind(fd, sockaddr({ address: LOOPBACK, port: 0 }), SOCKADDR_BYTES));
  return fd;
}

/** The headers of the SYN that opened a connection, from IP on; empty when the kernel has not kept them. */
export function savedSyn(fd: number): Buffer {
  const bytes = Buffer.alloc(SAVED_SYN_BYTES_MAX);
  const length = Buffer.from(Uint32Array.of(bytes.length).buffer);
  const result = sys.getsockopt(fd, LINUX.IPPROTO_TCP, LINUX.TCP_SAVED_SYN, bytes, length);
  return bytes.subarray(0, result < 0 ? 0 : length.readUInt32LE());
}

/** Sends whole IPv4 packets, from whatever address they name; rules see `mark` on them, 0 for none. */
export function openRaw(mark: number): number {
  const fd = must("open a raw socket", open(LINUX.SOCK_RAW, LINUX.IPPROTO_RAW));
  must("set a mark", setNumber(fd, LINUX.SOL_SOCKET, LINUX.SO_MARK, mark));
  setNumber(fd, LINUX.SOL_SOCKET, LINUX.SO_SNDBUF, DATAGRAM_BUFFER_BYTES);
  return fd;
}

/** An interface whose packets this process reads; it goes with the descriptor. */
export function openTun(name: string): number {
  const flags = LINUX.O_RDWR | LINUX.SOCK_NONBLOCK | LINUX.SOCK_CLOEXEC;
  const fd = must("open /dev/net/tun", sys.open("/dev/net/tun", flags));
  const request = Buffer.alloc(IFREQ_BYTES);
  request.write(name, "latin1");
  request.writeUInt16LE(LINUX.IFF_TUN | LINUX.IFF_NO_PI, IFREQ_FLAGS_AT);
  must(`make the interface ${name}`, sys.ioctl(fd, LINUX.TUNSETIFF, request));
  return fd;
}

/** Begins to connect under another's address and port; rules see `mark` on it, 0 for none. Descriptor, or `-errno`. */
export function connectAs(source: Endpoint, destination: Endpoint, mark: number): number {
  const fd = open(LINUX.SOCK_STREAM, LINUX.IPPROTO_TCP);
  if (fd < 0) return fd;
  transparent(fd);
  setNumber(fd, LINUX.SOL_SOCKET, LINUX.SO_REUSEADDR, 1);
  setNumber(fd, LINUX.SOL_SOCKET, LINUX.SO_MARK, mark);
  const bound = sys.bind(fd, sockaddr(source), SOCKADDR_BYTES);
  const result = bound < 0 ? bound : sys.connect(fd, sockaddr(destination), SOCKADDR_BYTES);
  if (result >= 0 || result === -ERRNO.EINPROGRESS) return fd;
  sys.close(fd);
  return result;
}

/** What a relayed connection wants: no waiting for more bytes, and to learn of ends that vanished. */
export function setStreamOptions(fd: number): void {
  setNumber(fd, LINUX.IPPROTO_TCP, LINUX.TCP_NODELAY, 1);
  setNumber(fd, LINUX.SOL_SOCKET, LINUX.SO_KEEPALIVE, 1);
  setNumber(fd, LINUX.IPPROTO_TCP, LINUX.TCP_KEEPIDLE, KEEPALIVE_IDLE_S);
}

/** False while a connection is under way. */
export function isConnected(fd: number): boolean {
  const length = Buffer.from(Uint32Array.of(SOCKADDR_BYTES).buffer);
  return sys.getpeername(fd, Buffer.alloc(SOCKADDR_BYTES), length) === 0;
}

/** The error that a socket has met, as `-errno`; 0 when there is none. Asking clears it. */
export function takeError(fd: number): number {
  const value = Buffer.alloc(4);
  sys.getsockopt(fd, LINUX.SOL_SOCKET, LINUX.SO_ERROR, value, Buffer.from(Uint32Array.of(4).buffer));
  return -value.readInt32LE();
}

/** Closes with a RST, so that the other end learns that the connection failed. */
export function reset(fd: number): void {
  const linger = Buffer.from(Int32Array.of(1, 0).buffer);
  sys.setsockopt(fd, LINUX.SOL_SOCKET, LINUX.SO_LINGER, linger, linger.length);
  sys.close(fd);
}
