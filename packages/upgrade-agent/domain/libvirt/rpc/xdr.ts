/**
 * XDR (RFC 4506) as far as libvirt's calls need it: 32- and 64-bit integers, opaque data, strings, optional values and
 * arrays. Everything is big-endian and padded with zeros to four bytes. Decoding is bounded: a length that exceeds its
 * cap, or the bytes that are there, is an error before anything is allocated. Pure.
 */

/** Most bytes of one string, `REMOTE_STRING_MAX` of libvirt's remote_protocol.x. */
export const STRING_BYTES_MAX = 4_194_304;

const utf8 = new TextDecoder("utf-8", { fatal: true });

/** What was received is not what the protocol says. */
export class XdrError extends Error {
  override readonly name = "XdrError";
}

/** Bytes of padding after `length` bytes. */
function padding(length: number): number {
  return (4 - (length % 4)) % 4;
}

export class XdrWriter {
  #buffer = Buffer.alloc(256);
  #length = 0;

  /** The next bytes to write, all zero. */
  #room(bytes: number): Buffer {
    const start = this.#length;
    this.#length += bytes;
    if (this.#length > this.#buffer.length) {
      const grown = Buffer.alloc(Math.max(this.#length, this.#buffer.length * 2));
      this.#buffer.copy(grown);
      this.#buffer = grown;
    }
    return this.#buffer.subarray(start, this.#length);
  }

  int(value: number): this {
    this.#room(4).writeInt32BE(value);
    return this;
  }

  uint(value: number): this {
    this.#room(4).writeUInt32BE(value);
    return this;
  }

  /** Of a length that both sides know. */
  fixedOpaque(value: Uint8Array): this {
    this.#room(value.length + padding(value.length)).set(value);
    return this;
  }

  string(value: string): this {
    const bytes = Buffer.from(value, "utf8");
    if (bytes.length > STRING_BYTES_MAX)
      throw new XdrError(`a string of ${bytes.length} bytes is too long to send`);
    return this.uint(bytes.length).fixedOpaque(bytes);
  }

  /** `undefined` is sent as absent. */
  optional<T>(value: T | undefined, write: (writer: this, value: T) => void): this {
    this.uint(value === undefined ? 0 : 1);
    if (value !== undefined) write(this, value);
    return this;
  }

  bytes(): Buffer {
    return Buffer.from(this.#buffer.subarray(0, this.#length));
  }
}

export class XdrReader {
  readonly #bytes: Buffer;
  #offset = 0;

  constructor(bytes: Uint8Array) {
    this.#bytes = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  }

  get remaining(): number {
    return this.#bytes.length - this.#offset;
  }

  #take(bytes: number): number {
    if (bytes > this.remaining) throw new XdrError(`${bytes} bytes expected, ${this.remaining} left`);
    const start = this.#offset;
    this.#offset += bytes;
    return start;
  }

  int(): number {
    return this.#bytes.readInt32BE(this.#take(4));
  }

  uint(): number {
    return this.#bytes.readUInt32BE(this.#take(4));
  }

  unsignedHyper(): bigint {
    return this.#bytes.readBigUInt64BE(this.#take(8));
  }

  fixedOpaque(length: number): Buffer {
    const start = this.#take(length + padding(length));
    return Buffer.from(this.#bytes.subarray(start, start + length));
  }

  string(bytesMax: number = STRING_BYTES_MAX): string {
    const length = this.uint();
    if (length > bytesMax) throw new XdrError(`a string of ${length} bytes exceeds the cap of ${bytesMax}`);
    try {
      return utf8.decode(this.fixedOpaque(length));
    } catch (error) {
      throw error instanceof XdrError ? error : new XdrError("a string is not UTF-8");
    }
  }

  optional<T>(read: (reader: this) => T): T | undefined {
    const present = this.uint();
    if (present > 1) throw new XdrError(`${present} does not say whether a value is present`);
    return present === 1 ? read(this) : undefined;
  }

  array<T>(countMax: number, read: (reader: this) => T): T[] {
    const count = this.uint();
    if (count > countMax) throw new XdrError(`an array of ${count} exceeds the cap of ${countMax}`);
    const values: T[] = [];
    for (let index = 0; index < count; index++) values.push(read(this));
    return values;
  }
}
