/** What the handlers hold of a connection: their requests become actions and changes of the state. Pure. */
import type { PeekBuffer } from "../buffer/peek-buffer.ts";
import { ProxyError } from "../errors.ts";
import type { VersionSet } from "../versions/version-set.ts";
import type { Connection } from "./contract.ts";
import { byteLength, chunksOf } from "./server-links.ts";
import { ConnectionState, type CoreOptions } from "./state.ts";

export class HandlerConnection implements Connection {
  readonly id: number;
  readonly clientAddress: string;
  readonly state: ConnectionState;
  readonly #changed: () => void;

  /** `changed` is called after everything that a handler does, also outside of a call of it. */
  constructor(options: CoreOptions, changed: () => void) {
    this.id = options.id;
    this.clientAddress = options.clientAddress;
    this.state = new ConnectionState(options, this);
    this.#changed = changed;
  }

  get draining(): boolean {
    return this.state.draining;
  }

  versions(): VersionSet {
    return this.state.options.versions;
  }

  now(): number {
    return this.state.now();
  }

  enqueue(
    version: number,
    data: PeekBuffer | Uint8Array,
    { background = false }: { readonly background?: boolean } = {},
  ): number {
    if (this.state.over)
      throw new ProxyError("E_CONNECTION_OVER", "The client's connection is over; stop sending.");
    if (!this.versions().has(version)) {
      throw new ProxyError(
        "E_NO_SUCH_VERSION",
        `Version ${version} does not run; ask connection.versions() first.`,
      );
    }
    const chunks = chunksOf(data);
    const position = this.state.links.enqueue(version, chunks, byteLength(chunks), background);
    this.#active();
    return position;
  }

  enqueueClient(data: PeekBuffer | Uint8Array): void {
    const { client } = this.state;
    const chunks = chunksOf(data);
    const bytes = byteLength(chunks);
    if (this.state.over || client.lost || client.endAsked || bytes === 0) return;
    if (client.queuedBytes === 0) client.progressAtMs = this.now();
    client.queuedBytes += bytes;
    if (this.state.emit({ kind: "client-write", chunks })) client.queuedBytes -= bytes;
    this.#active();
  }

  endClient(): void {
    const { client, inlet } = this.state;
    if (this.state.over || client.endAsked) return;
    client.endAsked = true;
    client.endAskedAtMs = this.now();
    if (!client.lost) this.state.emit({ kind: "client-end" });
    inlet.clear();
    this.#active();
  }

  endServer(version: number): void {
    this.state.links.end(version);
    this.#active();
  }

  dropServer(version: number): void {
    const link = this.state.links.get(version);
    if (link === undefined) return;
    this.state.links.remove(link);
    this.#active();
  }

  requestStarted(bytes = 0, { background = false }: { readonly background?: boolean } = {}): () => void {
    this.state.heldBytes += bytes;
    const tracked = background ? undefined : this.state.options.trackRequest?.();
    const { requests } = this.state;
    const end = (): void => {
      if (!requests.delete(end)) return;
      this.state.heldBytes -= bytes;
      tracked?.();
      this.#active();
    };
    requests.add(end);
    return end;
  }

  after(delayMs: number, callback: () => void): () => void {
    const cancel = this.state.timers.add(this.now() + delayMs, callback);
    this.#changed();
    return cancel;
  }

  #active(): void {
    this.state.activeAtMs = this.now();
    this.#changed();
  }
}
