/** A pinned map as a typed table. Calls are synchronous: each is one system call of a microsecond or so. */
import { closeSync, readFileSync } from "node:fs";
import { constants } from "node:os";
import { RouterError } from "../../errors.ts";
import { BPF, bpf, errnoName, pointer } from "./bpf-syscall.ts";
import type { Struct } from "./struct-codec.ts";

export interface MapType<K, V> {
  readonly key: Struct<K>;
  readonly value: Struct<V>;
  /** How many it can hold. */
  readonly entries: number;
  readonly perCpu: boolean;
}

const { ENOENT } = constants.errno;
/** Listed by one system call: large tables are mostly empty, and listed four times a second. */
const BATCH_ENTRIES = 4096;

interface BatchRoom {
  readonly keys: Buffer;
  readonly values: Buffer;
  readonly begin: Buffer;
  readonly end: Buffer;
  readonly batch: number;
}

interface BatchFound {
  readonly count: number;
  readonly isLast: boolean;
}

export class BpfMap<K, V> {
  readonly #fd: number;
  readonly #type: MapType<K, V>;
  readonly #path: string;
  /** Bytes of one looked-up value: with per-CPU maps one for each possible processor, rounded up to 8. */
  readonly #valueBytes: number;

  /** Opens a pin. Throws E_KERNEL. */
  constructor(path: string, type: MapType<K, V>) {
    this.#type = type;
    this.#path = path;
    this.#valueBytes = type.perCpu ? possibleCpus() * roundUp8(type.value.bytes) : type.value.bytes;
    const name = Buffer.from(`${path}\0`);
    const { result } = bpf(BPF.objectGet, (attributes) => attributes.setBigUint64(0, pointer(name), true));
    if (result < 0) throw this.#error("open", result);
    this.#fd = result;
  }

  get(key: K): V | undefined {
    const value = Buffer.alloc(this.#valueBytes);
    const result = this.#element(BPF.mapLookup, this.#type.key.encode(key), value);
    if (result === -ENOENT) return undefined;
    if (result < 0) throw this.#error("read", result);
    return this.#type.value.decode(value);
  }

  set(key: K, value: V): void {
    const result = this.#element(BPF.mapUpdate, this.#type.key.encode(key), this.#type.value.encode(value));
    if (result < 0) throw this.#error("write", result);
  }

  /** True when there was such an entry. */
  delete(key: K): boolean {
    const result = this.#element(BPF.mapDelete, this.#type.key.encode(key), undefined);
    if (result < 0 && result !== -ENOENT) throw this.#error("delete from", result);
    return result === 0;
  }

  /** Takes the next element out of a queue; undefined when it is empty. */
  pop(): V | undefined {
    const value = Buffer.alloc(this.#valueBytes);
    const result = this.#element(BPF.mapLookupAndDelete, undefined, value);
    if (result === -ENOENT) return undefined;
    if (result < 0) throw this.#error("take from", result);
    return this.#type.value.decode(value);
  }

  /** What each processor has under this key. */
  each(key: K): readonly V[] {
    const values = Buffer.alloc(this.#valueBytes);
    const result = this.#element(BPF.mapLookup, this.#type.key.encode(key), values);
    if (result === -ENOENT) return [];
    if (result < 0) throw this.#error("read", result);
    const stride = roundUp8(this.#type.value.bytes);
    return Array.from({ length: this.#valueBytes / stride }, (_, index) =>
      this.#type.value.decode(values, index * stride),
    );
  }

  /** All entries; of a per-CPU map the values of every processor, one entry each. */
  entries(): readonly (readonly [K, V])[] {
    const { key, value, perCpu, entries } = this.#type;
    const stride = perCpu ? roundUp8(value.bytes) : value.bytes;
    const perEntry = this.#valueBytes / stride;
    const batch = Math.min(entries, BATCH_ENTRIES);
    const keys = Buffer.allocUnsafe(key.bytes * batch);
    const values = Buffer.allocUnsafe(this.#valueBytes * batch);
    const begin = Buffer.alloc(Math.max(8, key.bytes));
    const end = Buffer.alloc(begin.length);
    const found: (readonly [K, V])[] = [];
    for (let isFirst = true, isLast = false; !isLast; isFirst = false) {
      const got = this.#batch({ keys, values, begin, end, batch }, isFirst);
      for (let index = 0; index < got.count * perEntry; index += 1) {
        const entryKey = key.decode(keys, Math.floor(index / perEntry) * key.bytes);
        found.push([entryKey, value.decode(values, index * stride)]);
      }
      end.copy(begin);
      isLast = got.isLast;
    }
    return found;
  }

  close(): void {
    closeSync(this.#fd);
  }

  /** A queue has no keys. */
  #element(command: number, key: Buffer | undefined, value: Buffer | undefined): number {
    return bpf(command, (attributes) => {
      attributes.setUint32(0, this.#fd, true);
      if (key !== undefined) attributes.setBigUint64(8, pointer(key), true);
      if (value !== undefined) attributes.setBigUint64(16, pointer(value), true);
    }).result;
  }

  /** BPF_MAP_LOOKUP_BATCH from `begin` up to `end`, which it writes; ENOENT says that all of the map is done. */
  #batch({ keys, values, begin, end, batch }: BatchRoom, isFirst: boolean): BatchFound {
    const { result, attributes } = bpf(BPF.mapLookupBatch, (fill) => {
      if (!isFirst) fill.setBigUint64(0, pointer(begin), true);
      fill.setBigUint64(8, pointer(end), true);
      fill.setBigUint64(16, pointer(keys), true);
      fill.setBigUint64(24, pointer(values), true);
      fill.setUint32(32, batch, true);
      fill.setUint32(36, this.#fd, true);
    });
    if (result < 0 && result !== -ENOENT) throw this.#error("list", result);
    return { count: attributes.getUint32(32, true), isLast: result === -ENOENT };
  }

  #error(verb: string, result: number): RouterError {
    const message = `cannot ${verb} the map ${this.#path}: ${errnoName(-result)}; see vm-upgrade doctor.`;
    return new RouterError("E_KERNEL", message);
  }
}

function roundUp8(bytes: number): number {
  return Math.ceil(bytes / 8) * 8;
}

/** `0-3,8` counts up to 9: the kernel makes a value for each possible number. */
function possibleCpus(): number {
  const list = readFileSync("/sys/devices/system/cpu/possible", "utf8").trim();
  return Number(list.split(/[-,]/).at(-1)) + 1;
}
