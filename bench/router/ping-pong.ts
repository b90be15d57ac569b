/**
 * Round trips of one message at a time, with blocking system calls: Node's own sockets would add their event loop's
 * time to each. Run in a domain:
 *
 *     ping-pong.js serve udp|tcp PORT
 *     ping-pong.js ask udp|tcp PORT ADDRESS BYTES MILLISECONDS    prints PingPongFigures as JSON
 */
import koffi from "koffi";
import { percentile } from "../harness/index.ts";

/** Round trips in µs, without those of the time to warm up. */
export interface PingPongFigures {
  readonly trips: number;
  readonly lost: number;
  readonly p50: number;
  readonly p99: number;
}

/** Of Linux, the same on x86-64 and arm64. */
const AF_INET = 2;
const SOCK_STREAM = 1;
const SOCK_DGRAM = 2;
const SOL_SOCKET = 1;
const SO_REUSEADDR = 2;
const SO_RCVTIMEO = 20;
const IPPROTO_TCP = 6;
const TCP_NODELAY = 1;
const ADDRESS_BYTES = 16;

/** A message that is not back by then is lost. */
const LOST_AFTER_SECONDS = 1n;
/** This part of the time warms caches and paths up, and does not count. */
const WARM_UP = 0.1;

const libc = koffi.load("libc.so.6");
const declare = (prototype: string) => libc.func(prototype) as (...args: unknown[]) => number;
const calls = {
  socket: declare("int socket(int, int, int)"),
  setsockopt: declare("int setsockopt(int, int, int, void *, unsigned int)"),
  bind: declare("int bind(int, void *, unsigned int)"),
  listen: declare("int listen(int, int)"),
  accept: declare("int accept(int, void *, void *)"),
  connect: declare("int connect(int, void *, unsigned int)"),
  send: declare("long send(int, void *, size_t, int)"),
  sendto: declare("long sendto(int, void *, size_t, int, void *, unsigned int)"),
  recv: declare("long recv(int, void *, size_t, int)"),
  recvfrom: declare("long recvfrom(int, void *, size_t, int, void *, void *)"),
  close: declare("int close(int)"),
};

/** The result when it is not negative. Throws Error with the call's name and errno. */
function must(name: keyof typeof calls, ...args: readonly unknown[]): number {
  const result = calls[name](...args);
  if (result < 0) throw new Error(`${name}: errno ${koffi.errno()}`);
  return result;
}

function open(protocol: string): number {
  const file = must("socket", AF_INET, protocol === "tcp" ? SOCK_STREAM : SOCK_DGRAM, 0);
  must("setsockopt", file, SOL_SOCKET, SO_REUSEADDR, one(), 4);
  return file;
}

function one(): Buffer {
  const value = Buffer.alloc(4);
  value.writeInt32LE(1);
  return value;
}

/** struct sockaddr_in. */
function socketAddress(address: string, port: number): Buffer {
  const buffer = Buffer.alloc(ADDRESS_BYTES);
  buffer.writeUInt16LE(AF_INET);
  buffer.writeUInt16BE(port, 2);
  for (const [index, part] of address.split(".").entries()) buffer[4 + index] = Number(part);
  return buffer;
}

function serve(protocol: string, port: number): never {
  const file = open(protocol);
  const message = Buffer.alloc(65_536);
  must("bind", file, socketAddress("0.0.0.0", port), ADDRESS_BYTES);
  if (protocol === "udp") {
    const from = Buffer.alloc(ADDRESS_BYTES);
    const bytes = Buffer.alloc(4);
    for (;;) {
      bytes.writeUInt32LE(ADDRESS_BYTES);
      const length = must("recvfrom", file, message, message.length, 0, from, bytes);
      calls.sendto(file, message, length, 0, from, ADDRESS_BYTES);
    }
  }
  must("listen", file, 16);
  for (;;) {
    const connection = must("accept", file, null, null);
    must("setsockopt", connection, IPPROTO_TCP, TCP_NODELAY, one(), 4);
    for (;;) {
      const length = calls.recv(connection, message, message.length, 0);
      if (length <= 0 || calls.send(connection, message, length, 0) < 0) break;
    }
    calls.close(connection);
  }
}

/** True when as many bytes as were sent came back; TCP may bring them in pieces. */
function isAnswered(file: number, message: Buffer): boolean {
  for (let received = 0; received < message.length;) {
    const length = calls.recv(file, message, message.length - received, 0);
    if (length <= 0) return false;
    received += length;
  }
  return true;
}

function ask(protocol: string, port: number, address: string, bytes: number, milliseconds: number): void {
  const file = open(protocol);
  const limit = Buffer.alloc(16);
  limit.writeBigInt64LE(LOST_AFTER_SECONDS);
  must("setsockopt", file, SOL_SOCKET, SO_RCVTIMEO, limit, limit.length);
  must("connect", file, socketAddress(address, port), ADDRESS_BYTES);
  if (protocol === "tcp") must("setsockopt", file, IPPROTO_TCP, TCP_NODELAY, one(), 4);
  const message = Buffer.alloc(bytes);
  const trips: number[] = [];
  let lost = 0;
  const start = performance.now();
  for (let before = start; before < start + milliseconds;) {
    must("send", file, message, bytes, 0);
    const answered = isAnswered(file, message);
    const after = performance.now();
    if (!answered) lost += 1;
    else if (before > start + milliseconds * WARM_UP) trips.push((after - before) * 1000);
    before = performance.now();
  }
  const figures: PingPongFigures = {
    trips: trips.length,
    lost,
    p50: percentile(trips, 50),
    p99: percentile(trips, 99),
  };
  process.stdout.write(`${JSON.stringify(figures)}\n`);
}

const [role, protocol = "udp", port = "", address = "", bytes = "", milliseconds = ""] =
  process.argv.slice(2);
if (role === "serve") serve(protocol, Number(port));
else ask(protocol, Number(port), address, Number(bytes), Number(milliseconds));
