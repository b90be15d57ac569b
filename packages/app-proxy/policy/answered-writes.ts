/**
 * The writes of one client's flow of datagrams that are over, with what was replied to them: a client whose answer was
 * lost repeats its request, and no version must do it twice. Pure; bounded in bytes and in time.
 */
import type { Connection } from "../connection/contract.ts";

export interface AnsweredWrite {
  readonly bytes: Buffer;
  /** What each version replied, as far as it came. */
  readonly replies: Map<number, Buffer>;
  /** What the client was told; undefined: nothing. */
  readonly answer: Buffer | undefined;
}

export interface MemoryLimits {
  /** Milliseconds for which a write is remembered after its end. */
  readonly rememberMs: number;
  /** Bytes of what is remembered for one flow. */
  readonly rememberBytesMax: number;
}

interface Kept {
  readonly write: AnsweredWrite;
  readonly untilMs: number;
  readonly bytes: number;
  readonly release: () => void;
}

/** What keeping one costs beside its bytes; about. */
const OVERHEAD_BYTES = 256;

export class AnsweredWrites {
  readonly #limits: MemoryLimits;
  readonly #flow: Connection;
  /** Oldest first. */
  readonly #kept = new Map<string | number, Kept>();
  #bytes = 0;

  constructor(limits: MemoryLimits, flow: Connection) {
    this.#limits = limits;
    this.#flow = flow;
  }

  /** Undefined when nothing is known of such a request. */
  get(id: string | number, request: Buffer): AnsweredWrite | undefined {
    const write = this.#kept.get(id)?.write;
    return write?.bytes.equals(request) === true ? write : undefined;
  }

  /** What a version said when nobody waited for it any more. Returns whether it was wanted. */
  lateReply(id: string | number, version: number, reply: Buffer): boolean {
    const replies = this.#kept.get(id)?.write.replies;
    if (replies === undefined || replies.has(version)) return false;
    replies.set(version, reply);
    return true;
  }

  add(id: string | number, write: AnsweredWrite): void {
    this.forget(id);
    let bytes = OVERHEAD_BYTES + write.bytes.length + (write.answer?.length ?? 0);
    for (const reply of write.replies.values()) bytes += reply.length;
    const release = this.#flow.requestStarted(bytes, { background: true });
    const nowMs = this.#flow.now();
    this.#kept.set(id, { write, bytes, release, untilMs: nowMs + this.#limits.rememberMs });
    this.#bytes += bytes;
    for (const [oldest, { untilMs }] of this.#kept) {
      if (untilMs > nowMs && this.#bytes <= this.#limits.rememberBytesMax) return;
      this.forget(oldest);
    }
  }

  forget(id: string | number): void {
    const kept = this.#kept.get(id);
    if (kept === undefined) return;
    this.#kept.delete(id);
    this.#bytes -= kept.bytes;
    kept.release();
  }
}
