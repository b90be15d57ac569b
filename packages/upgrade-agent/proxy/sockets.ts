/**
 * System calls that Node does not offer: sockets that listen but are not accepted from in this process, and copies of
 * another process's descriptors (pidfd_getfd, Linux 5.6). By FFI, see docs/decisions.
 */
import { closeSync } from "node:fs";
import { constants } from "node:os";
import koffi from "koffi";
import type { PortSpec } from "@version-manager/version-router";
import { AgentError } from "../errors.ts";

const AF_UNIX = 1;
const AF_INET = 2;
const SOCK_STREAM = 1;
const SOCK_DGRAM = 2;
const SOCK_NONBLOCK = 0o4000;
const SOCK_CLOEXEC = 0o2000000;
const SOL_SOCKET = 1;
const SO_REUSEADDR = 2;
const SO_TYPE = 3;
const SO_RCVBUF = 8;
const SO_ACCEPTCONN = 30;
/** Of a UDP socket, bytes; the kernel grants up to net.core.rmem_max. Datagrams wait here while a proxy is started anew. */
const RECEIVE_BUFFER_BYTES = 4 * 1024 * 1024;
/** The kernel takes the lower of this and net.core.somaxconn; clients wait here while a proxy is started anew. */
const BACKLOG = 4096;
const SYS_PIDFD_OPEN = 434;
const SYS_PIDFD_GETFD = 438;
/** sun_path with its ending zero */
const UNIX_PATH_BYTES_MAX = 107;

const libc = koffi.load("libc.so.6");
const callSocket = libc.func("int socket(int domain, int type, int protocol)");
const callBind = libc.func("int bind(int fd, const void *address, uint32_t length)");
const callListen = libc.func("int listen(int fd, int backlog)");
const callSetsockopt = libc.func(
  "int setsockopt(int fd, int level, int name, const void *value, uint32_t length)",
);
const callGetsockopt = libc.func(
  "int getsockopt(int fd, int level, int name, _Out_ void *value, _Inout_ uint32_t *length)",
);
const callGetsockname = libc.func("int getsockname(int fd, _Out_ void *address, _Inout_ uint32_t *length)");
const callSyscall = libc.func("long syscall(long number, ...)");

/** Throws E_PORT_TAKEN when another process has the port, E_PROXY for what else goes wrong. */
export function listen(address: string, spec: PortSpec): number {
  const { isUdp, port } = partsOf(spec);
  const what = `${spec} of ${address}`;
  const type = isUdp ? SOCK_DGRAM : SOCK_STREAM;
  const fd = checked(
    callSocket(AF_INET, type | SOCK_NONBLOCK | SOCK_CLOEXEC, 0) as number,
    `socket for ${what}`,
  );
  try {
    // Of a UDP socket SO_REUSEADDR would let another process take the port away.
    if (isUdp) setOption(fd, SO_RCVBUF, RECEIVE_BUFFER_BYTES, `SO_RCVBUF for ${what}`);
    else setOption(fd, SO_REUSEADDR, 1, `SO_REUSEADDR for ${what}`);
    bind(fd, inetAddress(address, port), what);
    if (!isUdp) checkedBind(callListen(fd, BACKLOG) as number, what);
    return fd;
  } catch (error) {
    closeSync(fd);
    throw error;
  }
}

function partsOf(spec: PortSpec): { readonly isUdp: boolean; readonly port: number } {
  const [protocol, port] = spec.split("/");
  return { isUdp: protocol === "udp", port: Number(port) };
}

function setOption(fd: number, name: number, value: number, what: string): void {
  const bytes = Buffer.alloc(4);
  bytes.writeInt32LE(value);
  checked(callSetsockopt(fd, SOL_SOCKET, name, bytes, bytes.length) as number, what);
}

/** The path must not exist. */
export function listenUnix(path: string): number {
  const bytes = Buffer.from(path);
  if (bytes.length > UNIX_PATH_BYTES_MAX) {
    throw new AgentError("E_PROXY", `${path} is too long for a socket; choose a shorter runDirectory.`);
  }
  const fd = checked(
    callSocket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0) as number,
    `socket for ${path}`,
  );
  try {
    const address = Buffer.concat([Buffer.from([AF_UNIX, 0]), bytes, Buffer.from([0])]);
    bind(fd, address, path);
    checkedBind(callListen(fd, BACKLOG) as number, path);
    return fd;
  } catch (error) {
    closeSync(fd);
    throw error;
  }
}

/**
 * A copy of a socket of another process that listens (UDP: is bound), undefined when the kernel refuses or the descriptor
 * is not a socket for that port of that address.
 */
export function copyListener(pid: number, fd: number, address: string, spec: PortSpec): number | undefined {
  const pidfd = callSyscall(SYS_PIDFD_OPEN, "long", pid, "long", 0) as number;
  if (pidfd < 0) return undefined;
  const copy = callSyscall(SYS_PIDFD_GETFD, "long", pidfd, "long", fd, "long", 0) as number;
  closeSync(pidfd);
  if (copy < 0) return undefined;
  if (listensOn(copy, address, spec)) return copy;
  closeSync(copy);
  return undefined;
}

function listensOn(fd: number, address: string, spec: PortSpec): boolean {
  const { isUdp, port } = partsOf(spec);
  const ready = isUdp ? optionOf(fd, SO_TYPE) === SOCK_DGRAM : optionOf(fd, SO_ACCEPTCONN) === 1;
  const bound = Buffer.alloc(16);
  if (!ready || callGetsockname(fd, bound, [bound.length]) !== 0) return false;
  return bound.equals(inetAddress(address, port));
}

function optionOf(fd: number, name: number): number | undefined {
  const value = Buffer.alloc(4);
  const done = callGetsockopt(fd, SOL_SOCKET, name, value, [value.length]) === 0;
  return done ? value.readInt32LE() : undefined;
}

function bind(fd: number, address: Buffer, what: string): void {
  checkedBind(callBind(fd, address, address.length) as number, what);
}

/** struct sockaddr_in */
function inetAddress(address: string, port: number): Buffer {
  const parts = address.split(".").map(Number);
  if (parts.length !== 4 || parts.some((part) => !Number.isInteger(part) || part < 0 || part > 255)) {
    throw new AgentError("E_PROXY", `${address} is not an IPv4 address; proxies listen on IPv4 only.`);
  }
  const bytes = Buffer.alloc(16);
  bytes.writeUInt16LE(AF_INET, 0);
  bytes.writeUInt16BE(port, 2);
  bytes.set(parts, 4);
  return bytes;
}

function checkedBind(result: number, what: string): void {
  if (result >= 0) return;
  const errno = koffi.errno();
  if (errno === constants.errno.EADDRINUSE) {
    throw new AgentError(
      "E_PORT_TAKEN",
      `${what} is taken by another process; find it with ss -lntup and stop it.`,
    );
  }
  throw failure(what, errno);
}

function checked(result: number, what: string): number {
  if (result < 0) throw failure(what, koffi.errno());
  return result;
}

function failure(what: string, errno: number): AgentError {
  const name = Object.entries(constants.errno).find(([, value]) => value === errno)?.[0] ?? String(errno);
  return new AgentError("E_PROXY", `Cannot listen on ${what}: ${name}.`);
}
