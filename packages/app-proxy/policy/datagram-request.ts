/**
 * One request of a client's flow of datagrams, as a connection of its own to the policies: none waits for another's
 * reply. It knows which versions owe a reply, so that a repeated request goes to those only.
 */
import { PeekBuffer } from "../buffer/peek-buffer.ts";
import type { Connection } from "../connection/contract.ts";
import type { VersionSet } from "../versions/version-set.ts";

interface Sent {
  readonly bytes: Buffer;
  atMs: number;
}

export interface DatagramRequestOptions {
  readonly flow: Connection;
  /** Datagrams carry no id: the request must go out from a port that no earlier one used. */
  readonly freshPort: boolean;
  /** Replies of versions to an earlier try of the same request; those versions do not get it again. */
  readonly earlierReplies: ReadonlyMap<number, Buffer>;
  /** A reply that came before is to be offered as if it came now. */
  replay(version: number, bytes: Buffer): void;
  /** It was answered, will never be, or something that it waited for in the background is over. */
  changed(): void;
}

export class DatagramRequest implements Connection {
  readonly id: number;
  readonly clientAddress: string;
  readonly #options: DatagramRequestOptions;
  readonly #awaiting = new Map<number, Sent>();
  #open = 0;
  /** What the client was answered. */
  answer: Buffer | undefined;
  /** No answer will come. */
  unanswered = false;

  constructor(options: DatagramRequestOptions) {
    this.id = options.flow.id;
    this.clientAddress = options.flow.clientAddress;
    this.#options = options;
  }

  get draining(): boolean {
    return this.#options.flow.draining;
  }

  get answered(): boolean {
    return this.answer !== undefined || this.unanswered;
  }

  /** The client has been told, or never will be, and nobody waits for what versions may still say. */
  get over(): boolean {
    if (this.#open > 0) return false;
    return this.unanswered || (this.answer !== undefined && this.#awaiting.size === 0);
  }

  versions(): VersionSet {
    return this.#options.flow.versions();
  }

  now(): number {
    return this.#options.flow.now();
  }

  enqueue(version: number, data: PeekBuffer | Uint8Array): number {
    const { earlierReplies, flow, freshPort } = this.#options;
    const bytes = data instanceof PeekBuffer ? Buffer.concat(data.give()) : Buffer.from(data);
    const earlier = this.#awaiting.has(version) ? undefined : earlierReplies.get(version);
    if (freshPort && !this.#awaiting.has(version)) flow.dropServer(version);
    this.#awaiting.set(version, { bytes, atMs: this.now() });
    if (earlier === undefined) flow.enqueue(version, bytes);
    else flow.after(0, () => this.#options.replay(version, earlier));
    return 0;
  }

  /** The client repeated the request: versions that owe a reply for `afterMs` milliseconds get it again. */
  repeat(afterMs: number): void {
    const { flow } = this.#options;
    for (const [version, sent] of this.#awaiting) {
      if (this.now() - sent.atMs < afterMs || !flow.versions().has(version)) continue;
      sent.atMs = this.now();
      flow.enqueue(version, sent.bytes);
    }
  }

  /** Returns whether the version owed this request a reply. */
  replied(version: number): boolean {
    return this.#awaiting.delete(version);
  }

  awaits(version: number): boolean {
    return this.#awaiting.has(version);
  }

  enqueueClient(data: PeekBuffer | Uint8Array): void {
    if (this.answered) return;
    this.answer = data instanceof PeekBuffer ? Buffer.concat(data.give()) : Buffer.from(data);
    this.#options.flow.enqueueClient(this.answer);
    this.#options.changed();
  }

  /** The policies have no words: the client hears nothing, and repeats its request. */
  endClient(): void {
    if (this.answered) return;
    this.unanswered = true;
    this.#options.changed();
  }

  endServer(): void {
    // A datagram has no end that could be told apart from it.
  }

  dropServer(version: number): void {
    this.#awaiting.delete(version);
    if (this.#options.freshPort) this.#options.flow.dropServer(version);
  }

  requestStarted(bytes = 0, options?: { readonly background?: boolean }): () => void {
    const done = this.#options.flow.requestStarted(bytes, options);
    let ended = false;
    this.#open += 1;
    return () => {
      if (ended) return;
      ended = true;
      this.#open -= 1;
      done();
      this.#options.changed();
    };
  }

  after(delayMs: number, callback: () => void): () => void {
    return this.#options.flow.after(delayMs, callback);
  }
}
