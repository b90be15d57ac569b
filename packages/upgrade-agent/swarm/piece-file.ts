/**
 * Pieces of one file, at a path that we name: webtorrent's own store takes the path from the torrent, and so from a
 * stranger. The file is held open, so that its owner may rename it while it is given.
 */
import { constants } from "node:fs";
import { open, type FileHandle } from "node:fs/promises";
import type { ChunkStore } from "./webtorrent.ts";

type Done = (error: Error | null) => void;

export class PieceFile {
  readonly #handle: FileHandle;
  readonly #length: number;
  #closed: Promise<void> | undefined;

  private constructor(handle: FileHandle, length: number) {
    this.#handle = handle;
    this.#length = length;
  }

  /** `writable` makes the file when absent and cuts off what is beyond `length` bytes. */
  static async open(file: string, length: number, writable: boolean): Promise<PieceFile> {
    const handle = await open(
      file,
      writable ? constants.O_RDWR | constants.O_CREAT : constants.O_RDONLY,
      0o644,
    );
    try {
      const { size } = await handle.stat();
      if (writable && size > length) await handle.truncate(length);
      return new PieceFile(handle, length);
    } catch (error) {
      await handle.close();
      throw error;
    }
  }

  /** What webtorrent constructs. It closes the store itself, but only when it came as far as making it. */
  get storeClass(): new (chunkLength: number) => ChunkStore {
    const handle = this.#handle;
    const length = this.#length;
    const close = () => this.close();
    return class implements ChunkStore {
      readonly chunkLength: number;
      constructor(chunkLength: number) {
        this.chunkLength = chunkLength;
      }
      put(index: number, chunk: Uint8Array, done: Done): void {
        void answer(writeFully(handle, chunk, index * this.chunkLength), done);
      }
      get(
        index: number,
        options: { offset?: number; length?: number } | null,
        done: (error: Error | null, chunk?: Uint8Array) => void,
      ): void {
        const start = index * this.chunkLength;
        const whole = Math.min(this.chunkLength, length - start);
        const offset = options?.offset ?? 0;
        const wanted = options?.length ?? whole - offset;
        if (offset < 0 || wanted < 0 || offset + wanted > whole) {
          queueMicrotask(() => done(new RangeError("outside the piece")));
          return;
        }
        void answer(readFully(handle, wanted, start + offset), done);
      }
      close(done: Done): void {
        void answer(close(), done);
      }
      destroy(done: Done): void {
        void answer(close(), done);
      }
    };
  }

  /** Makes what was written last over a power cut. */
  async sync(): Promise<void> {
    await this.#handle.sync();
  }

  close(): Promise<void> {
    this.#closed ??= this.#handle.close();
    return this.#closed;
  }
}

async function writeFully(handle: FileHandle, chunk: Uint8Array, position: number): Promise<void> {
  let written = 0;
  while (written < chunk.byteLength) {
    const left = chunk.byteLength - written;
    written += (await handle.write(chunk, written, left, position + written)).bytesWritten;
  }
}

async function readFully(handle: FileHandle, length: number, position: number): Promise<Uint8Array> {
  const chunk = new Uint8Array(length);
  let filled = 0;
  while (filled < length) {
    const { bytesRead } = await handle.read(chunk, filled, length - filled, position + filled);
    if (bytesRead === 0) throw new RangeError("the file ends before the piece does");
    filled += bytesRead;
  }
  return chunk;
}

/** From a promise to the callback that webtorrent waits for. */
async function answer<Value>(
  work: Promise<Value>,
  done: (error: Error | null, value?: Value) => void,
): Promise<void> {
  let value: Value;
  try {
    value = await work;
  } catch (error) {
    done(error instanceof Error ? error : new Error(String(error)));
    return;
  }
  done(null, value);
}
