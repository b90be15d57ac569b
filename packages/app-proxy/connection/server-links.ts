/** The server connections of one client connection, one per version, opened when first needed. Pure. */
import type { PeekBuffer } from "../buffer/peek-buffer.ts";
import type { ConnectionAction } from "./contract.ts";
import type { Inlet } from "./inlet.ts";
import { newLink, queuedBytes, type ServerLink } from "./server-link.ts";

export interface ServerLinksOptions {
  now(): number;
  /** Returns whether the action was a write that is done already. */
  emit(action: ConnectionAction): boolean;
  newId(): number;
  newInlet(version: number): Inlet;
}

export class ServerLinks {
  readonly #options: ServerLinksOptions;
  readonly #byVersion = new Map<number, ServerLink>();
  /** The links as a list, made anew when they change: it is gone through several times per event. */
  #list: readonly ServerLink[] = [];

  constructor(options: ServerLinksOptions) {
    this.#options = options;
  }

  get size(): number {
    return this.#byVersion.size;
  }

  /** Stays as it is when links come or go, so it may be gone through meanwhile. */
  all(): readonly ServerLink[] {
    return this.#list;
  }

  get(version: number): ServerLink | undefined {
    return this.#byVersion.get(version);
  }

  byId(id: number): ServerLink | undefined {
    return this.#list.find((link) => link.id === id);
  }

  has(link: ServerLink): boolean {
    return this.#byVersion.get(link.version) === link;
  }

  someFull(highWaterBytes: number): boolean {
    for (const link of this.#list) if (!link.background && queuedBytes(link) >= highWaterBytes) return true;
    return false;
  }

  /** Returns the position of the first byte in the link's stream. */
  enqueue(version: number, chunks: readonly Buffer[], bytes: number, background: boolean): number {
    const link = this.#to(version);
    link.background = background;
    const position = link.enqueuedBytes;
    if (queuedBytes(link) === 0) link.progressAtMs = this.#options.now();
    link.enqueuedBytes += bytes;
    if (link.connected && !link.lost) this.#send(link, chunks, bytes);
    else link.held.push(...chunks);
    return position;
  }

  connected(link: ServerLink): void {
    link.connected = true;
    link.progressAtMs = this.#options.now();
    const held = link.held;
    link.held = [];
    if (held.length > 0) this.#send(link, held, link.enqueuedBytes);
    if (link.endAsked) this.#sendEnd(link);
  }

  end(version: number): void {
    const link = this.#byVersion.get(version);
    if (link === undefined || link.endAsked) return;
    link.endAsked = true;
    if (link.connected && !link.lost) this.#sendEnd(link);
  }

  remove(link: ServerLink): void {
    if (!this.has(link)) return;
    this.#byVersion.delete(link.version);
    this.#list = [...this.#byVersion.values()];
    this.#options.emit({ kind: "server-close", link: link.id });
  }

  /** The link of a version that takes bytes; a new one when there is none or our side of it has ended. */
  #to(version: number): ServerLink {
    const existing = this.#byVersion.get(version);
    if (existing !== undefined && !existing.endAsked) return existing;
    if (existing !== undefined) this.remove(existing);
    const options = this.#options;
    const link = newLink(options.newId(), version, options.newInlet(version), options.now());
    this.#byVersion.set(version, link);
    this.#list = [...this.#byVersion.values()];
    options.emit({ kind: "open", link: link.id, version });
    return link;
  }

  #send(link: ServerLink, chunks: readonly Buffer[], bytes: number): void {
    link.sentBytes += bytes;
    if (this.#options.emit({ kind: "server-write", link: link.id, chunks })) link.writtenBytes += bytes;
  }

  #sendEnd(link: ServerLink): void {
    link.endSent = true;
    this.#options.emit({ kind: "server-end", link: link.id });
  }
}

export function chunksOf(data: PeekBuffer | Uint8Array): readonly Buffer[] {
  if (!(data instanceof Uint8Array)) return data.give();
  if (data.length === 0) return [];
  return [Buffer.isBuffer(data) ? data : Buffer.from(data.buffer, data.byteOffset, data.byteLength)];
}

export function byteLength(chunks: readonly Buffer[]): number {
  let bytes = 0;
  for (const chunk of chunks) bytes += chunk.length;
  return bytes;
}
