/**
 * A process in a domain whose sockets have the options that Node's lack: fast open, MD5 signatures, MPTCP, datagrams
 * without a checksum or cut by the kernel. Calls block, each with a time limit, so one process plays one end. Started as
 * an actor, see ../actor-handle.ts.
 */
import koffi from "koffi";

/** Of Linux, the same on x86-64 and arm64. */
const AF_INET = 2;
const TYPE = { tcp: 1, mptcp: 1, udp: 2 } as const;
const PROTOCOL = { tcp: 6, mptcp: 262, udp: 17 } as const;
const SOL_SOCKET = 1;
const MSG_FASTOPEN = 0x2000_0000;
const MSG_NOSIGNAL = 0x4000;
const ADDRESS_BYTES = 16;
/** struct tcp_md5sig: the peer's address in 128 bytes, flags, prefix, length of the key, interface, key in 80 bytes. */
const MD5_BYTES = 216;
const MD5_KEY_LENGTH_AT = 130;
const MD5_KEY_AT = 136;

/** Level, name and size or value in bytes of each option by name. */
const OPTIONS = {
  reuseAddress: [SOL_SOCKET, 2],
  keepAlive: [SOL_SOCKET, 9],
  noChecksum: [SOL_SOCKET, 11],
  keepIdleS: [6, 4],
  keepIntervalS: [6, 5],
  keepCount: [6, 6],
  fastOpenQueue: [6, 23],
  segmentBytes: [17, 103],
} as const;
const SO_LINGER = 13;
const SO_RCVTIMEO = 20;
const SO_SNDTIMEO = 21;
const TCP_MD5SIG = 14;
const TCP_REPAIR = 19;
const SHUT_WR = 1;

const libc = koffi.load("libc.so.6");
const declare = (prototype: string) => libc.func(prototype) as (...words: unknown[]) => number;
const system = {
  socket: declare("int socket(int, int, int)"),
  setsockopt: declare("int setsockopt(int, int, int, void *, unsigned int)"),
  getsockname: declare("int getsockname(int, void *, void *)"),
  bind: declare("int bind(int, void *, unsigned int)"),
  listen: declare("int listen(int, int)"),
  accept: declare("int accept(int, void *, void *)"),
  connect: declare("int connect(int, void *, unsigned int)"),
  send: declare("long send(int, void *, size_t, int)"),
  sendto: declare("long sendto(int, void *, size_t, int, void *, unsigned int)"),
  recv: declare("long recv(int, void *, size_t, int)"),
  shutdown: declare("int shutdown(int, int)"),
  close: declare("int close(int)"),
};

/** The result when it is not negative; throws Error with the errno's name. */
function must(name: keyof typeof system, ...words: readonly unknown[]): number {
  const result = system[name](...words);
  if (result >= 0) return result;
  const errno = koffi.errno();
  throw new Error(
    Object.entries(koffi.os.errno).find(([, value]) => value === errno)?.[0] ?? `errno ${errno}`,
  );
}

function integer(value: number): Buffer {
  const buffer = Buffer.alloc(4);
  buffer.writeInt32LE(value);
  return buffer;
}

/** struct sockaddr_in. */
function socketAddress(address: string, port: number): Buffer {
  const buffer = Buffer.alloc(ADDRESS_BYTES);
  buffer.writeUInt16LE(AF_INET);
  buffer.writeUInt16BE(port, 2);
  buffer.set(address.split(".").map(Number), 4);
  return buffer;
}

function limitWaiting(fd: number, timeoutMs: number): void {
  const limit = Buffer.alloc(16);
  limit.writeBigInt64LE(BigInt(Math.floor(timeoutMs / 1000)));
  limit.writeBigInt64LE(BigInt(timeoutMs % 1000) * 1000n, 8);
  for (const name of [SO_RCVTIMEO, SO_SNDTIMEO])
    must("setsockopt", fd, SOL_SOCKET, name, limit, limit.length);
}

type Options = Partial<Record<keyof typeof OPTIONS, number>>;

const calls: Record<string, (...words: never[]) => unknown> = {
  /** A socket whose calls give up after `timeoutMs` (EAGAIN, EINPROGRESS). */
  open(kind: keyof typeof TYPE, options: Options, localPort: number, timeoutMs: number): number {
    const fd = must("socket", AF_INET, TYPE[kind], PROTOCOL[kind]);
    limitWaiting(fd, timeoutMs);
    for (const [option, value] of Object.entries(options)) {
      const [level, name] = OPTIONS[option as keyof typeof OPTIONS];
      must("setsockopt", fd, level, name, integer(value), 4);
    }
    if (localPort > 0) must("bind", fd, socketAddress("0.0.0.0", localPort), ADDRESS_BYTES);
    return fd;
  },
  signWithMd5(fd: number, peer: string, port: number, key: string): void {
    const signature = Buffer.alloc(MD5_BYTES);
    socketAddress(peer, port).copy(signature);
    signature.writeUInt16LE(key.length, MD5_KEY_LENGTH_AT);
    signature.write(key, MD5_KEY_AT);
    must("setsockopt", fd, PROTOCOL.tcp, TCP_MD5SIG, signature, signature.length);
  },
  listen(fd: number): void {
    must("listen", fd, 16);
  },
  accept(fd: number): number {
    return must("accept", fd, null, null);
  },
  connect(fd: number, address: string, port: number): void {
    must("connect", fd, socketAddress(address, port), ADDRESS_BYTES);
  },
  /** Opens the connection with the text in the SYN, when the server's cookie is known. */
  sendFast(fd: number, address: string, port: number, text: string): number {
    const bytes = Buffer.from(text);
    return must(
      "sendto",
      fd,
      bytes,
      bytes.length,
      MSG_FASTOPEN | MSG_NOSIGNAL,
      socketAddress(address, port),
      ADDRESS_BYTES,
    );
  },
  send(fd: number, text: string): number {
    const bytes = Buffer.from(text);
    return must("send", fd, bytes, bytes.length, MSG_NOSIGNAL);
  },
  /** At most 64 KiB; "" at the end of the stream. */
  receive(fd: number): string {
    const buffer = Buffer.alloc(65_536);
    return buffer.toString("latin1", 0, must("recv", fd, buffer, buffer.length, 0));
  },
  /** This end's address and port. */
  name(fd: number): string {
    const address = Buffer.alloc(ADDRESS_BYTES);
    must("getsockname", fd, address, integer(ADDRESS_BYTES));
    return `${address.subarray(4, 8).join(".")}:${address.readUInt16BE(2)}`;
  },
  endWriting(fd: number): void {
    must("shutdown", fd, SHUT_WR);
  },
  close(fd: number): void {
    must("close", fd);
  },
  /** Forgets the connection without a word, as a machine does that loses its power. */
  vanish(fd: number): void {
    must("setsockopt", fd, PROTOCOL.tcp, TCP_REPAIR, integer(1), 4);
    must("close", fd);
  },
  /** Closes by a RST. */
  reset(fd: number): void {
    const linger = Buffer.alloc(8);
    linger.writeInt32LE(1);
    must("setsockopt", fd, SOL_SOCKET, SO_LINGER, linger, linger.length);
    must("close", fd);
  },
};

process.on("message", ({ id, method, args }: { id: number; method: string; args: never[] }) => {
  try {
    process.send?.({ id, result: calls[method]?.(...args) });
  } catch (error) {
    process.send?.({ id, error: error instanceof Error ? error.message : String(error) });
  }
});
process.on("disconnect", () => process.exit(0));
process.send?.({ id: 0 });
