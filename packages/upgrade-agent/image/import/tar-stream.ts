/**
 * Reading a tar stream entry by entry, with every size bounded before it is read. The parsing of headers is that of
 * the `tar` package; the loop is ours because unpacking has to keep its own order, and because nothing that a stream
 * says may make us hold more than a header of it.
 */
import { Header, Pax } from "tar";
import { AgentError } from "../../errors.ts";
import { TAR_HEADER_BYTES_MAX } from "./limits.ts";

const blockBytes = 512;

export interface TarEntry {
  readonly path: string;
  readonly type: string;
  readonly linkpath: string;
  readonly mode: number;
  readonly uid: number;
  readonly gid: number;
  readonly mtime: Date;
  readonly size: number;
  /** To be read to its end, or not at all, before the next entry is asked for. */
  readonly body: AsyncIterable<Buffer>;
}

/** Pulls bytes out of chunks. */
class Bytes {
  readonly #chunks: AsyncIterator<Buffer>;
  #rest: Buffer = Buffer.alloc(0);

  constructor(chunks: AsyncIterable<Buffer>) {
    this.#chunks = chunks[Symbol.asyncIterator]();
  }

  /** The next bytes, at most `most`; undefined at the end. */
  async some(most: number): Promise<Buffer | undefined> {
    while (this.#rest.length === 0) {
      const next = await this.#chunks.next();
      if (next.done === true) return undefined;
      this.#rest = next.value;
    }
    const piece = this.#rest.subarray(0, most);
    this.#rest = this.#rest.subarray(piece.length);
    return piece;
  }

  /** Exactly so many, or undefined when the stream ended right before the first. */
  async exactly(count: number): Promise<Buffer | undefined> {
    const pieces: Buffer[] = [];
    let left = count;
    while (left > 0) {
      const piece = await this.some(left);
      if (piece === undefined) {
        if (pieces.length === 0) return undefined;
        throw cutOff();
      }
      pieces.push(piece);
      left -= piece.length;
    }
    return Buffer.concat(pieces);
  }

  /** To the end, so that whoever hashes the stream has seen all of it. */
  async drain(): Promise<void> {
    while ((await this.some(Number.MAX_SAFE_INTEGER)) !== undefined);
  }
}

/** Throws E_IMAGE_FORMAT for what is no tar, is cut off, or has headers that are too long. */
export async function* tarEntries(chunks: AsyncIterable<Buffer>): AsyncGenerator<TarEntry> {
  const bytes = new Bytes(chunks);
  let extended: Pax | undefined;
  let global: Pax | undefined;
  let long: { path?: string; linkpath?: string } = {};
  for (;;) {
    const block = await bytes.exactly(blockBytes);
    if (block === undefined) return;
    if (block.every((byte) => byte === 0)) {
      await bytes.drain();
      return;
    }
    const header = readHeader(block, extended, global);
    const size = header.size ?? 0;
    if (isMeta(header.type)) {
      const text = await metaText(bytes, size);
      if (header.type === "ExtendedHeader") extended = Pax.parse(text, extended);
      else if (header.type === "GlobalExtendedHeader") global = Pax.parse(text, global, true);
      else if (header.type === "NextFileHasLongPath") long = { ...long, path: text };
      else long = { ...long, linkpath: text };
      continue;
    }
    const body = new Body(bytes, hasBody(header.type) ? size : 0);
    yield {
      path: (long.path ?? header.path ?? "").replace(/\0.*$/s, ""),
      linkpath: (long.linkpath ?? header.linkpath ?? "").replace(/\0.*$/s, ""),
      type: header.type,
      mode: (header.mode ?? 0) & 0o7777,
      uid: header.uid ?? 0,
      gid: header.gid ?? 0,
      mtime: header.mtime ?? new Date(0),
      size: hasBody(header.type) ? size : 0,
      body,
    };
    await body.skip();
    extended = undefined;
    long = {};
  }
}

function readHeader(block: Buffer, extended: Pax | undefined, global: Pax | undefined): Header {
  const plain = new Header(block);
  if (!plain.cksumValid) throw format("it is not a tar archive, or it is damaged");
  // An extended header speaks of the next file. Were it to say how long another header is, two readers of one archive
  // could see different files in it.
  const header = isMeta(plain.type) ? plain : new Header(block, 0, extended, global);
  const { size = 0 } = header;
  if (!Number.isSafeInteger(size) || size < 0) throw format("an entry has an impossible size");
  return header;
}

function isMeta(type: string): boolean {
  return [
    "ExtendedHeader",
    "GlobalExtendedHeader",
    "NextFileHasLongPath",
    "NextFileHasLongLinkpath",
  ].includes(type);
}

/** Links and directories have no contents, whatever their size field says. */
function hasBody(type: string): boolean {
  return !["Link", "SymbolicLink", "Directory", "CharacterDevice", "BlockDevice", "FIFO"].includes(type);
}

async function metaText(bytes: Bytes, size: number): Promise<string> {
  if (size > TAR_HEADER_BYTES_MAX) throw format("an entry's header is too long");
  const padded = Math.ceil(size / blockBytes) * blockBytes;
  const data = await bytes.exactly(padded);
  if (data === undefined && padded > 0) throw cutOff();
  return (data ?? Buffer.alloc(0)).toString("utf8", 0, size);
}

class Body implements AsyncIterable<Buffer> {
  readonly #bytes: Bytes;
  #left: number;
  #padding: number;

  constructor(bytes: Bytes, size: number) {
    this.#bytes = bytes;
    this.#left = size;
    this.#padding = (blockBytes - (size % blockBytes)) % blockBytes;
  }

  async *[Symbol.asyncIterator](): AsyncGenerator<Buffer> {
    while (this.#left > 0) {
      const piece = await this.#bytes.some(this.#left);
      if (piece === undefined) throw cutOff();
      this.#left -= piece.length;
      yield piece;
    }
  }

  async skip(): Promise<void> {
    for await (const piece of this) void piece;
    if (this.#padding > 0 && (await this.#bytes.exactly(this.#padding)) === undefined) throw cutOff();
    this.#padding = 0;
  }
}

function cutOff(): AgentError {
  return format("it ends in the middle");
}

export function format(why: string, cause?: unknown): AgentError {
  return new AgentError("E_IMAGE_FORMAT", `The image cannot be used: ${why}.`, cause);
}
