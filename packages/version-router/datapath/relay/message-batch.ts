/**
 * The structs of recvmmsg(2) and sendmmsg(2) for a batch of datagrams, laid out once: their pointers never change but
 * for where a packet begins. Little-endian, 64 bit.
 */
import { SOCKADDR_BYTES, readSockaddr, writeSockaddr } from "./sockets.ts";
import { LINUX, addressOf, sys } from "./system-calls.ts";
import type { Endpoint } from "./endpoint.ts";

const MMSGHDR_BYTES = 64;
const LENGTH_AT = 56;
const FLAGS_AT = 48;
const IOVEC_BYTES = 16;
const CONTROL_BYTES = 64;
/** In front of the address in a control message: length (8), level, type. */
const CMSG_DATA_AT = 16;

export class MessageBatch {
  readonly size: number;
  /** Each datagram's place in `bytes`. */
  readonly stride: number;
  readonly bytes: Buffer;
  readonly #headers: Buffer;
  readonly #vectors: Buffer;
  readonly #names: Buffer;
  readonly #control: Buffer;
  readonly #base: bigint;

  constructor(size: number, stride: number, bytes: Buffer = Buffer.alloc(size * stride)) {
    this.size = size;
    this.stride = stride;
    this.bytes = bytes;
    this.#headers = Buffer.alloc(size * MMSGHDR_BYTES);
    this.#vectors = Buffer.alloc(size * IOVEC_BYTES);
    this.#names = Buffer.alloc(size * SOCKADDR_BYTES);
    this.#control = Buffer.alloc(size * CONTROL_BYTES);
    this.#base = addressOf(bytes);
    const pointers = [this.#names, this.#vectors, this.#control].map(addressOf);
    const [names = 0n, vectors = 0n, control = 0n] = pointers;
    for (let index = 0; index < size; index += 1) {
      const at = index * MMSGHDR_BYTES;
      this.#headers.writeBigUInt64LE(names + BigInt(index * SOCKADDR_BYTES), at);
      this.#headers.writeBigUInt64LE(vectors + BigInt(index * IOVEC_BYTES), at + 16);
      this.#headers.writeBigUInt64LE(1n, at + 24);
      this.#headers.writeBigUInt64LE(control + BigInt(index * CONTROL_BYTES), at + 32);
    }
  }

  /** Receives into each place from `offset` on; returns how many came, or `-errno`. */
  receive(fd: number, offset: number): number {
    for (let index = 0; index < this.size; index += 1) {
      const at = index * MMSGHDR_BYTES;
      // One byte stays free behind each, for the padding of its checksum.
      this.#setVector(index, index * this.stride + offset, this.stride - offset - 1);
      this.#headers.writeUInt32LE(SOCKADDR_BYTES, at + 8);
      this.#headers.writeBigUInt64LE(BigInt(CONTROL_BYTES), at + 40);
      this.#headers.writeUInt32LE(0, at + FLAGS_AT);
    }
    return sys.recvmmsg(fd, this.#headers, this.size, LINUX.MSG_DONTWAIT, null);
  }

  sender(index: number): Endpoint {
    return readSockaddr(this.#names, index * SOCKADDR_BYTES);
  }

  /** Where the datagram was going to; undefined when the kernel did not say. */
  originalDestination(index: number): Endpoint | undefined {
    const at = index * CONTROL_BYTES;
    const isThere =
      this.#headers.readBigUInt64LE(index * MMSGHDR_BYTES + 40) > 0n &&
      this.#control.readInt32LE(at + 8) === LINUX.IPPROTO_IP &&
      this.#control.readInt32LE(at + 12) === LINUX.IP_RECVORIGDSTADDR;
    return isThere ? readSockaddr(this.#control, at + CMSG_DATA_AT) : undefined;
  }

  /** Bytes of a received datagram. */
  lengthOf(index: number): number {
    return this.#headers.readUInt32LE(index * MMSGHDR_BYTES + LENGTH_AT);
  }

  wasCut(index: number): boolean {
    return (this.#headers.readUInt32LE(index * MMSGHDR_BYTES + FLAGS_AT) & LINUX.MSG_TRUNC) !== 0;
  }

  /** Sets what `send` sends at `index`: `length` bytes from `at`. */
  setPacket(index: number, at: number, length: number, destination: Endpoint): void {
    const header = index * MMSGHDR_BYTES;
    this.#setVector(index, at, length);
    writeSockaddr(this.#names, index * SOCKADDR_BYTES, destination);
    this.#headers.writeUInt32LE(SOCKADDR_BYTES, header + 8);
    this.#headers.writeBigUInt64LE(0n, header + 40);
  }

  /** Sends those from `first` up to `end`; returns how many went, or `-errno` of the first. */
  send(fd: number, first: number, end: number): number {
    const flags = LINUX.MSG_DONTWAIT | LINUX.MSG_NOSIGNAL;
    return sys.sendmmsg(fd, this.#headers.subarray(first * MMSGHDR_BYTES), end - first, flags);
  }

  #setVector(index: number, at: number, length: number): void {
    this.#vectors.writeBigUInt64LE(this.#base + BigInt(at), index * IOVEC_BYTES);
    this.#vectors.writeBigUInt64LE(BigInt(length), index * IOVEC_BYTES + 8);
  }
}
