/** Waits for many descriptors at once (epoll, edge-triggered): a handler is told once for each change. */
import { LINUX, errorName, sys } from "./system-calls.ts";

export interface Handler {
  /** `failed`: the descriptor has met an error, to be had by SO_ERROR. */
  onReady(failed: boolean): void;
}

const EVENTS_MAX = 256;
/** struct epoll_event is packed on x86-64 only. */
const EVENT_BYTES = process.arch === "x64" ? 12 : 16;
const DATA_AT = EVENT_BYTES - 8;
const INTEREST = (LINUX.EPOLLIN | LINUX.EPOLLOUT | LINUX.EPOLLRDHUP | LINUX.EPOLLET) >>> 0;

export class Poller {
  readonly #epoll: number;
  readonly #handlers = new Map<number, Handler>();
  readonly #events = Buffer.alloc(EVENTS_MAX * EVENT_BYTES);
  readonly #interest = Buffer.alloc(EVENT_BYTES);

  constructor() {
    this.#epoll = sys.epollCreate1(0);
    if (this.#epoll < 0) throw new Error(`epoll_create1: ${errorName(this.#epoll)}`);
  }

  add(fd: number, handler: Handler): void {
    this.#interest.fill(0).writeUInt32LE(INTEREST, 0);
    this.#interest.writeUInt32LE(fd, DATA_AT);
    const result = sys.epollCtl(this.#epoll, LINUX.EPOLL_CTL_ADD, fd, this.#interest);
    if (result < 0) throw new Error(`epoll_ctl: ${errorName(result)}`);
    this.#handlers.set(fd, handler);
  }

  /** To be called before the descriptor is closed; closing then ends the kernel's interest. */
  forget(fd: number): void {
    this.#handlers.delete(fd);
  }

  /** Tells the handlers of what has happened; waits for it at most so long. */
  wait(timeoutMs: number): void {
    const count = sys.epollWait(this.#epoll, this.#events, EVENTS_MAX, timeoutMs);
    for (let index = 0; index < count; index += 1) {
      const at = index * EVENT_BYTES;
      const failed = (this.#events.readUInt32LE(at) & LINUX.EPOLLERR) !== 0;
      // A descriptor closed by an earlier handler of this round has no handler any more.
      this.#handlers.get(this.#events.readUInt32LE(at + DATA_AT))?.onReady(failed);
    }
  }

  close(): void {
    this.#handlers.clear();
    sys.close(this.#epoll);
  }
}
