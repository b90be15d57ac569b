/** The first bytes of a stream: looked at without being taken, taken when they are a mark, or sent as our mark. */
import { STREAM_MARK_BYTES, decodeStreamMark, encodeStreamMark, mayBeStreamMark } from "../../mark/index.ts";
import { ERRNO, LINUX, sys } from "./system-calls.ts";
import type { Mark } from "../../mark/index.ts";

/** `waiting`: what has come so far may become a mark; `unmarked`: it never will; `ended`: the stream ended at once. */
export type StreamStart = "waiting" | "unmarked" | "ended" | Mark;

/** Leaves the bytes where they are. */
export function peekStart(fd: number): StreamStart {
  const bytes = Buffer.alloc(STREAM_MARK_BYTES);
  const got = sys.recv(fd, bytes, bytes.length, LINUX.MSG_PEEK | LINUX.MSG_DONTWAIT);
  if (got === -ERRNO.EAGAIN || got === -ERRNO.EINTR) return "waiting";
  if (got <= 0) return "ended";
  const start = bytes.subarray(0, got);
  if (got < STREAM_MARK_BYTES) return mayBeStreamMark(start) ? "waiting" : "unmarked";
  return decodeStreamMark(start) ?? "unmarked";
}

/** Takes the mark that `peekStart` has found. */
export function takeMark(fd: number): void {
  sys.recv(fd, Buffer.alloc(STREAM_MARK_BYTES), STREAM_MARK_BYTES, LINUX.MSG_DONTWAIT);
}

/** False when the socket does not take it, which has room as long as nothing else was written to it. */
export function sendMark(fd: number, mark: Mark): boolean {
  const bytes = Buffer.from(encodeStreamMark(mark));
  return sys.send(fd, bytes, bytes.length, LINUX.MSG_DONTWAIT | LINUX.MSG_NOSIGNAL) === bytes.length;
}
