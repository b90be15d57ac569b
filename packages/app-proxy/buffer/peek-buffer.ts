/**
 * A queue of bytes that can be looked at without being consumed (CMU-CS-05-190 §3.4, figure 5).
 *
 * Bytes are kept as the chunks they came in. Nothing is copied, unless somebody asks for bytes that lie in more than
 * one chunk as a single array, or tiny chunks come behind one another: those are gathered, because a sender of single
 * bytes would otherwise make every look at the buffer a walk over as many chunks. Two positions matter: the beginning, which `read` moves, and the peek mark, which
 * `peek` moves and `resetPeek` puts back to the beginning.
 */
import { ProxyError } from "../errors.ts";

/** Consumed chunks are cut off the array only when this many have gathered, so that consuming stays O(1). */
const COMPACT_AFTER_CHUNKS = 64;

/** Chunks up to this size are copied behind one another, into arrays of this size, bytes. */
const TINY_CHUNK_BYTES = 1024;
const GATHERED_BYTES = 16 * 1024;

const EMPTY = Buffer.alloc(0);

export class PeekBuffer {
  #chunks: Buffer[] = [];
  /** Index of the first chunk that still has bytes, and how many of its bytes are consumed. */
  #first = 0;
  #skip = 0;
  #length = 0;
  #peeked = 0;
  #consumed = 0;
  #given = false;
  /** The array that the last chunk lies in, when it is one of gathered tiny ones, and how much of it is used. */
  #gathered: Buffer | undefined;
  #gatheredBytes = 0;

  constructor(...chunks: readonly Uint8Array[]) {
    for (const chunk of chunks) this.append(chunk);
  }

  /** Bytes that are not consumed yet. */
  get length(): number {
    return this.#length;
  }

  /** Bytes consumed since the buffer was made. */
  get consumed(): number {
    return this.#consumed;
  }

  /** Distance of the peek mark from the beginning, bytes. */
  get peeked(): number {
    return this.#peeked;
  }

  /**
   * Adds bytes at the end without copying them: whoever appends an array must not change it afterwards.
   * Another PeekBuffer is emptied into this one and is given away with that (see `give`).
   */
  append(data: Uint8Array | PeekBuffer): void {
    this.#own();
    if (data instanceof PeekBuffer) {
      for (const chunk of data.give()) this.#push(chunk);
    } else {
      this.#push(Buffer.isBuffer(data) ? data : Buffer.from(data.buffer, data.byteOffset, data.byteLength));
    }
  }

  /** Consumes and returns up to `bytes` bytes, all of them by default. Puts the peek mark back to the beginning. */
  read(bytes: number = this.#length): Buffer {
    const result = this.#copyOut(0, Math.min(bytes, this.#length));
    this.discard(result.length);
    return result;
  }

  /** Returns up to `bytes` bytes after the peek mark, by default all, and moves the mark behind them. */
  peek(bytes: number = this.#length - this.#peeked): Buffer {
    const end = Math.min(this.#peeked + bytes, this.#length);
    const result = this.#copyOut(this.#peeked, end);
    this.#peeked = end;
    return result;
  }

  /** The next `peek` starts at the beginning again. */
  resetPeek(): void {
    this.#peeked = 0;
  }

  /** Consumes up to `bytes` bytes without looking at them. Puts the peek mark back to the beginning. */
  discard(bytes: number): void {
    this.#own();
    this.#peeked = 0;
    let left = Math.min(bytes, this.#length);
    this.#length -= left;
    this.#consumed += left;
    while (left > 0) {
      const available = (this.#chunks[this.#first] as Buffer).length - this.#skip;
      if (left < available) {
        this.#skip += left;
        return;
      }
      left -= available;
      // The slot is overwritten, so that the chunk can be collected before the array is compacted.
      this.#chunks[this.#first] = EMPTY;
      this.#first += 1;
      this.#skip = 0;
    }
    if (this.#first >= COMPACT_AFTER_CHUNKS || this.#first === this.#chunks.length) {
      this.#chunks.splice(0, this.#first);
      this.#first = 0;
    }
  }

  /** A buffer of its own over the bytes `start`…`end` (end excluded); shares the memory, copies nothing. */
  slice(start = 0, end: number = this.#length): PeekBuffer {
    return new PeekBuffer(...this.views(start, end));
  }

  /** The bytes `start`…`end` as one array: a view when they lie in one chunk, else a copy. Consumes nothing. */
  bytes(start = 0, end: number = this.#length): Buffer {
    return this.#copyOut(Math.max(0, start), Math.min(end, this.#length));
  }

  /** The bytes `start`…`end` as views of the chunks they lie in. */
  *views(start = 0, end: number = this.#length): Generator<Buffer> {
    this.#own();
    let position = -this.#skip;
    for (let index = this.#first; index < this.#chunks.length && position < end; index += 1) {
      const chunk = this.#chunks[index] as Buffer;
      const from = Math.max(start - position, index === this.#first ? this.#skip : 0);
      const to = Math.min(end - position, chunk.length);
      if (from < to) yield from === 0 && to === chunk.length ? chunk : chunk.subarray(from, to);
      position += chunk.length;
    }
  }

  /** Position of the first occurrence of `pattern` at or after `from`, or -1. */
  indexOf(pattern: Uint8Array, from = 0): number {
    const only = this.#onlyChunk();
    if (only !== undefined) {
      const found = only.indexOf(pattern, this.#skip + from);
      return found < 0 ? -1 : found - this.#skip;
    }
    const overlap = pattern.length - 1;
    let tail: Buffer = EMPTY;
    let position = from;
    for (const view of this.views(from)) {
      if (tail.length > 0) {
        const seam = Buffer.concat([tail, view.subarray(0, overlap)]).indexOf(pattern);
        if (seam >= 0) return position - tail.length + seam;
      }
      const found = view.indexOf(pattern);
      if (found >= 0) return position + found;
      position += view.length;
      tail = view.length >= overlap ? view.subarray(view.length - overlap) : Buffer.concat([tail, view]);
      if (tail.length > overlap) tail = tail.subarray(tail.length - overlap);
    }
    return -1;
  }

  /**
   * Hands the bytes over to a new owner: returns them and makes every later use of this buffer throw E_BUFFER_GIVEN.
   * `connection.enqueue` and `enqueueClient` do this with the buffers they get.
   */
  give(): Buffer[] {
    const only = this.#onlyChunk();
    const chunks =
      only === undefined ? [...this.views()] : [this.#skip === 0 ? only : only.subarray(this.#skip)];
    this.#given = true;
    this.#chunks = [];
    this.#length = 0;
    return chunks;
  }

  /** The chunk that holds everything, as nearly always; undefined when there are several or none. Spares an iteration. */
  #onlyChunk(): Buffer | undefined {
    this.#own();
    return this.#chunks.length === this.#first + 1 ? this.#chunks[this.#first] : undefined;
  }

  #push(chunk: Buffer): void {
    if (chunk.length === 0) return;
    this.#length += chunk.length;
    if (chunk.length <= TINY_CHUNK_BYTES && this.#gather(chunk)) return;
    this.#gathered = undefined;
    this.#chunks.push(chunk);
  }

  /** Returns whether the chunk was copied behind the last one. Nobody's view changes: the bytes lie behind all views. */
  #gather(chunk: Buffer): boolean {
    const index = this.#chunks.length - 1;
    const last = this.#chunks[index];
    if (last === undefined || index < this.#first) return false;
    if (this.#gathered === undefined) {
      if (last.length > TINY_CHUNK_BYTES) return false;
      this.#gathered = Buffer.allocUnsafeSlow(GATHERED_BYTES);
      this.#gatheredBytes = last.copy(this.#gathered);
    }
    const end = this.#gatheredBytes + chunk.length;
    if (end > GATHERED_BYTES) return false;
    chunk.copy(this.#gathered, this.#gatheredBytes);
    this.#gatheredBytes = end;
    this.#chunks[index] = this.#gathered.subarray(0, end);
    return true;
  }

  #copyOut(start: number, end: number): Buffer {
    this.#own();
    if (end <= start) return EMPTY;
    const first = this.#chunks[this.#first] as Buffer;
    if (this.#skip + end <= first.length) return first.subarray(this.#skip + start, this.#skip + end);
    const views = [...this.views(start, end)];
    return views.length === 1 ? (views[0] as Buffer) : Buffer.concat(views, end - start);
  }

  #own(): void {
    if (!this.#given) return;
    throw new ProxyError(
      "E_BUFFER_GIVEN",
      "This buffer was handed to a connection and belongs to it now; enqueue a slice() if you still need the bytes.",
    );
  }
}
