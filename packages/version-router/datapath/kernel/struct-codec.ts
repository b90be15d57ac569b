/** C structs as TypeScript values: fields in the order of the C source, aligned as the compiler aligns them. */
import { formatIp, parseIp } from "../ip-address.ts";

export interface Field<T> {
  readonly bytes: number;
  readonly alignment: number;
  read(from: Buffer, at: number): T;
  write(into: Buffer, at: number, value: T): void;
}

type Fields = Readonly<Record<string, Field<unknown>>>;
export type ValueOf<F extends Fields> = { -readonly [K in keyof F]: F[K] extends Field<infer T> ? T : never };

export interface Struct<T> {
  readonly bytes: number;
  /** Offset of each field, bytes, for the test against the kernel's type information. */
  readonly offsets: Readonly<Record<string, number>>;
  decode(from: Buffer, at?: number): T;
  encode(value: T): Buffer;
}

/** Lays the fields out as C does on every 64-bit little-endian machine; padding must be written out. */
export function struct<F extends Fields>(fields: F): Struct<ValueOf<F>> {
  const offsets: Record<string, number> = {};
  let bytes = 0;
  let alignment = 1;
  for (const [name, field] of Object.entries(fields)) {
    if (bytes % field.alignment !== 0) throw new RangeError(`write out the padding before ${name}`);
    offsets[name] = bytes;
    bytes += field.bytes;
    alignment = Math.max(alignment, field.alignment);
  }
  if (bytes % alignment !== 0) throw new RangeError("write out the padding at the end");
  const names = Object.entries(fields);
  return {
    bytes,
    offsets,
    decode(from, at = 0) {
      const entries = names.map(([name, field]) => [name, field.read(from, at + (offsets[name] ?? 0))]);
      return Object.fromEntries(entries) as ValueOf<F>;
    },
    encode(value) {
      const into = Buffer.alloc(bytes);
      for (const [name, field] of names) field.write(into, offsets[name] ?? 0, value[name]);
      return into;
    },
  };
}

/** A struct of one field, for maps whose key or value is a plain number or address. */
export function scalar<T>(field: Field<T>): Struct<T> {
  return {
    bytes: field.bytes,
    offsets: {},
    decode: (from, at = 0) => field.read(from, at),
    encode: (value) => {
      const into = Buffer.alloc(field.bytes);
      field.write(into, 0, value);
      return into;
    },
  };
}

export const u8: Field<number> = {
  bytes: 1,
  alignment: 1,
  read: (from, at) => from.readUInt8(at),
  write: (into, at, value) => void into.writeUInt8(value, at),
};

export const u16: Field<number> = {
  bytes: 2,
  alignment: 2,
  read: (from, at) => from.readUInt16LE(at),
  write: (into, at, value) => void into.writeUInt16LE(value, at),
};

export const u32: Field<number> = {
  bytes: 4,
  alignment: 4,
  read: (from, at) => from.readUInt32LE(at),
  write: (into, at, value) => void into.writeUInt32LE(value, at),
};

export const u64: Field<bigint> = {
  bytes: 8,
  alignment: 8,
  read: (from, at) => from.readBigUInt64LE(at),
  write: (into, at, value) => void into.writeBigUInt64LE(value, at),
};

/** A 16-bit number in network byte order. */
export const be16: Field<number> = {
  bytes: 2,
  alignment: 2,
  read: (from, at) => from.readUInt16BE(at),
  write: (into, at, value) => void into.writeUInt16BE(value, at),
};

/** An IPv4 address in dotted form, in network byte order in the kernel. */
export const ipv4: Field<string> = {
  bytes: 4,
  alignment: 4,
  read: (from, at) => from.subarray(at, at + 4).join("."),
  write: (into, at, value) => into.set(value.split(".").map(Number), at),
};

/** As `struct address` of bpf/maps.h; "::" is none. IPv4 is dotted, and kept as ::ffff:a.b.c.d. */
export const address128: Field<string> = {
  bytes: 16,
  alignment: 4,
  read: (from, at) => formatIp(from.subarray(at, at + 16)),
  write: (into, at, value) => into.set(parseIp(value), at),
};

/** A MAC address, `52:54:00:…`. */
export const mac: Field<string> = {
  bytes: 6,
  alignment: 1,
  read: (from, at) => from.toString("hex", at, at + 6).replaceAll(/(..)(?!$)/g, "$1:"),
  write: (into, at, value) => into.set(Buffer.from(value.replaceAll(":", ""), "hex"), at),
};

/** Text of at most `bytes - 1` bytes, ended by a zero. */
export function text(bytes: number): Field<string> {
  return {
    bytes,
    alignment: 1,
    read: (from, at) => from.toString("utf8", at, at + bytes).replace(/\0.*$/s, ""),
    write: (into, at, value) => {
      const encoded = Buffer.from(value);
      if (encoded.length >= bytes) throw new RangeError(`"${value}" is longer than ${bytes - 1} bytes`);
      into.set(encoded, at);
    },
  };
}

/** Bytes that mean nothing. Values may leave the field out. */
export function pad(bytes: number): Field<undefined> {
  return { bytes, alignment: 1, read: () => undefined, write: () => undefined };
}
