/** The requests that one server connection owes replies for, and the reader of those replies. */
import type { Framing, ReplyReader } from "../framing/contract.ts";
import type { Exchange } from "./exchange.ts";

/** How long before the server's own limit a connection is given up, milliseconds. */
const IDLE_MARGIN_MS = 1_000;

export class ServerLine<Request, Reply> {
  readonly #framing: Framing<Request, Reply>;
  readonly reader: ReplyReader<Request, Reply>;
  readonly waiting: Exchange<Request, Reply>[] = [];
  #idleSinceMs: number;
  #idleMaxMs: number;

  constructor(framing: Framing<Request, Reply>, nowMs: number, idleMaxMs: number) {
    this.#framing = framing;
    this.reader = framing.replyReader();
    this.#idleSinceMs = nowMs;
    this.#idleMaxMs = idleMaxMs;
  }

  /** The server may be closing this connection; a request sent now could be lost without a word. */
  isStale(nowMs: number): boolean {
    return this.waiting.length === 0 && nowMs - this.#idleSinceMs >= this.#idleMaxMs;
  }

  used(nowMs: number, hintMs: number | undefined): void {
    this.#idleSinceMs = nowMs;
    if (hintMs !== undefined) this.#idleMaxMs = Math.max(0, hintMs - IDLE_MARGIN_MS);
  }

  /** Takes out the exchange that a reply answers; undefined when nobody of those that wait asked for it. */
  answeredBy(reply: Reply): Exchange<Request, Reply> | undefined {
    const { answers } = this.#framing;
    if (answers === undefined) return this.waiting.shift();
    const index = this.waiting.findIndex(({ request }) => answers(reply, request as Request));
    return index < 0 ? undefined : this.waiting.splice(index, 1)[0];
  }

  hasCopies(): boolean {
    return this.waiting.some(isShadowCopy);
  }
}

/** A copy that says of its line that it leads to a shadow. */
export function isShadowCopy<Request, Reply>(exchange: Exchange<Request, Reply>): boolean {
  return exchange.whenCopied !== undefined && exchange.onAnsweringLine !== true;
}
