/**
 * One direction of a connection: bytes go from socket to socket through a pipe inside the kernel (splice), so they never
 * enter this process. What the receiver does not take stays in the pipe and then in the sender's window: back-pressure
 * from end to end, and at most one pipe (64 KiB) of memory.
 */
import { ERRNO, LINUX, sys } from "./system-calls.ts";

/** Bytes asked for at once: what a pipe holds. */
const CHUNK_BYTES = 65_536;
/** After so many chunks others have their turn. */
const CHUNKS_PER_TURN = 16;
const SPLICE = LINUX.SPLICE_F_MOVE | LINUX.SPLICE_F_NONBLOCK;

/** `waiting`: for a socket to be ready; `more`: there is more to do at once; `ended`: all bytes and the end are over. */
export type Progress = "waiting" | "more" | "ended" | "failed";

interface Pipe {
  readonly read: number;
  readonly write: number;
}

/** Empty pipes for the next connection: making them costs more than keeping them. */
const spare: Pipe[] = [];
const SPARE_MAX = 256;

export class Direction {
  readonly #from: number;
  readonly #to: number;
  readonly #count: (bytes: number) => void;
  #pipe: Pipe | undefined;
  #held = 0;
  #sawEnd = false;
  #ended = false;

  constructor(from: number, to: number, count: (bytes: number) => void) {
    this.#from = from;
    this.#to = to;
    this.#count = count;
  }

  move(): Progress {
    if (this.#ended) return "ended";
    this.#pipe ??= spare.pop() ?? makePipe();
    if (this.#pipe === undefined) return "failed";
    for (let chunk = 0; chunk < CHUNKS_PER_TURN; chunk += 1) {
      if (this.#held === 0 && !this.#sawEnd) {
        const taken = sys.splice(this.#from, null, this.#pipe.write, null, CHUNK_BYTES, SPLICE);
        if (taken < 0) return isTemporary(taken) ? "waiting" : "failed";
        this.#held = taken;
        this.#sawEnd = taken === 0;
      }
      while (this.#held > 0) {
        const given = sys.splice(this.#pipe.read, null, this.#to, null, this.#held, SPLICE);
        if (given < 0) return isTemporary(given) ? "waiting" : "failed";
        this.#held -= given;
        this.#count(given);
      }
      if (this.#sawEnd) return this.#end();
    }
    return "more";
  }

  /** Gives the pipe back. */
  close(): void {
    const pipe = this.#pipe;
    this.#pipe = undefined;
    if (pipe === undefined) return;
    if (this.#held === 0 && spare.length < SPARE_MAX) spare.push(pipe);
    else closePipe(pipe);
  }

  #end(): Progress {
    this.#ended = true;
    // Half-close: the other direction goes on.
    sys.shutdown(this.#to, LINUX.SHUT_WR);
    this.close();
    return "ended";
  }
}

export function closeSparePipes(): void {
  for (const pipe of spare.splice(0)) closePipe(pipe);
}

function makePipe(): Pipe | undefined {
  const fds = Buffer.alloc(8);
  if (sys.pipe2(fds, LINUX.SOCK_NONBLOCK | LINUX.SOCK_CLOEXEC) < 0) return undefined;
  return { read: fds.readInt32LE(0), write: fds.readInt32LE(4) };
}

function closePipe({ read, write }: Pipe): void {
  sys.close(read);
  sys.close(write);
}

function isTemporary(result: number): boolean {
  return result === -ERRNO.EAGAIN || result === -ERRNO.EINTR;
}
