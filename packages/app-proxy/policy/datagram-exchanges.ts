/**
 * The requests of one client's flow of datagrams. With ids they run side by side, and a reply goes to the request whose
 * id it has; without, they wait for one another. A request that the client repeats goes only to versions that owe a
 * reply; one that was a write and was answered is answered from memory.
 */
import { PeekBuffer } from "../buffer/peek-buffer.ts";
import type { Connection, ServerEnd } from "../connection/contract.ts";
import type { DatagramWords } from "../framing/datagram/framing.ts";
import { AnsweredWrites } from "./answered-writes.ts";
import { ClientExchanges } from "./client-exchanges.ts";
import { DatagramRequest } from "./datagram-request.ts";
import type { DatagramDrops } from "./options.ts";
import type { SharedState } from "./shared-state.ts";

type Id = string | number;

interface Live<Request, Reply> {
  readonly bytes: Buffer;
  readonly message: Request;
  readonly isWrite: boolean;
  /** What versions replied. */
  readonly replies: Map<number, Buffer>;
  readonly request: DatagramRequest;
  readonly exchanges: ClientExchanges<Request, Reply>;
  /** Ends the wait for versions that have not replied although the client is answered. */
  cancelLinger: (() => void) | undefined;
}

/** The only id when messages have none. */
const NO_ID = "";

export class DatagramExchanges<Request, Reply> {
  readonly #shared: SharedState<Request, Reply>;
  readonly #flow: Connection;
  readonly #words: DatagramWords<Request, Reply>;
  readonly #live = new Map<Id, Live<Request, Reply>>();
  readonly #answered: AnsweredWrites;
  /** Without ids: requests that wait for the one before. */
  readonly #waiting: Buffer[] = [];
  #sweepIsDue = false;

  constructor(shared: SharedState<Request, Reply>, flow: Connection, words: DatagramWords<Request, Reply>) {
    this.#shared = shared;
    this.#flow = flow;
    this.#words = words;
    this.#answered = new AnsweredWrites(shared.limits, flow);
  }

  onRequest(bytes: Buffer): void {
    const message = this.#words.decodeRequest(bytes);
    if (message === undefined) return this.#drop("malformed");
    const id = idOf(() => this.#words.idOf?.request(message) ?? NO_ID);
    if (id === undefined) return this.#drop("malformed");
    const live = this.#live.get(id);
    if (live === undefined) this.#begin(id, bytes, message);
    else if (live.bytes.equals(bytes)) this.#repeated(live);
    else if (id === NO_ID) this.#wait(bytes);
    else if (!live.request.answered) this.#drop("busy");
    else {
      // The client has used the id again; what is still said to the old request is of no use to it.
      this.#end(id, live);
      this.#begin(id, bytes, message);
    }
  }

  onReply(version: number, bytes: Buffer): void {
    const reply = this.#words.decodeReply(bytes);
    if (reply === undefined) return this.#drop("unasked");
    const id = idOf(() => this.#words.idOf?.reply(reply) ?? NO_ID);
    if (id === undefined || !this.#take(id, version, bytes, reply)) this.#drop("unasked");
  }

  onServerEnd(end: ServerEnd): void {
    for (const { exchanges, request } of Array.from(this.#live.values())) {
      if (request.replied(end.version)) exchanges.onServerEnd(end, new PeekBuffer());
    }
    this.#sweep();
  }

  onVersionsChanged(): void {
    for (const { exchanges } of Array.from(this.#live.values())) exchanges.onVersionsChanged();
    this.#sweep();
  }

  onDraining(): void {
    for (const { exchanges } of Array.from(this.#live.values())) exchanges.onDraining();
    this.#sweep();
  }

  onClosed(): void {
    this.#waiting.length = 0;
    for (const { exchanges } of this.#live.values()) exchanges.onClosed();
    this.#live.clear();
  }

  #begin(id: Id, bytes: Buffer, message: Request): void {
    const known = id === NO_ID ? undefined : this.#answered.get(id, bytes);
    if (known?.answer !== undefined) return this.#flow.enqueueClient(Buffer.from(known.answer));
    if (this.#live.size >= this.#shared.limits.pipelineMax) return this.#drop("busy");
    this.#answered.forget(id);
    const earlierReplies = known?.replies ?? new Map<number, Buffer>();
    const request: DatagramRequest = new DatagramRequest({
      flow: this.#flow,
      freshPort: this.#words.idOf === undefined,
      earlierReplies,
      replay: (version, earlier) => {
        const reply = this.#words.decodeReply(earlier);
        if (this.#live.get(id)?.request === request && reply !== undefined)
          this.#take(id, version, earlier, reply);
      },
      changed: () => this.#sweepSoon(),
    });
    const exchanges = new ClientExchanges(this.#shared, request);
    const isWrite = this.#isWrite(message);
    const replies = new Map(earlierReplies);
    this.#live.set(id, { bytes, message, isWrite, replies, request, exchanges, cancelLinger: undefined });
    // What the promise would say, that there is room for another request, was decided above.
    void exchanges.onRequest(new PeekBuffer(bytes));
  }

  #wait(bytes: Buffer): void {
    if (this.#waiting.some((waiting) => waiting.equals(bytes))) return;
    if (this.#waiting.length >= this.#shared.limits.pipelineMax) this.#drop("busy");
    else this.#waiting.push(bytes);
  }

  /** Returns whether somebody waited for this version's reply to the request with this id. */
  #take(id: Id, version: number, bytes: Buffer, reply: Reply): boolean {
    const live = this.#live.get(id);
    if (live === undefined) return this.#answered.lateReply(id, version, bytes);
    if (this.#shared.options.framing.answers?.(reply, live.message) === false) return false;
    if (!live.request.replied(version)) return false;
    live.replies.set(version, bytes);
    live.exchanges.onReply(version, new PeekBuffer(bytes));
    this.#sweep();
    return true;
  }

  #repeated({ request }: Live<Request, Reply>): void {
    // The answer may be lost on its way.
    if (request.answer !== undefined) this.#flow.enqueueClient(Buffer.from(request.answer));
    else if (!request.answered) request.repeat(this.#shared.limits.repeatAfterMs);
  }

  #sweepSoon(): void {
    if (this.#sweepIsDue) return;
    this.#sweepIsDue = true;
    this.#flow.after(0, () => this.#sweep());
  }

  /** Ends what is over, and begins what waited for it. */
  #sweep(): void {
    this.#sweepIsDue = false;
    for (const [id, live] of Array.from(this.#live)) {
      if (live.request.over) this.#end(id, live);
      else if (live.request.answered) this.#linger(id, live);
    }
    if (this.#live.has(NO_ID)) return;
    const next = this.#waiting.shift();
    if (next !== undefined) this.onRequest(next);
  }

  /** Versions that have no say in the answer any more may still be compared, or copied to; not for ever. */
  #linger(id: Id, live: Live<Request, Reply>): void {
    const { repeatAfterMs, requestTimeoutMs } = this.#shared.limits;
    live.cancelLinger ??= this.#flow.after(id === NO_ID ? repeatAfterMs : requestTimeoutMs, () => {
      if (this.#live.get(id) === live) this.#end(id, live);
      this.#sweep();
    });
  }

  #end(id: Id, live: Live<Request, Reply>): void {
    this.#live.delete(id);
    live.cancelLinger?.();
    live.exchanges.onClosed();
    const { bytes, isWrite, replies, request } = live;
    if (isWrite && id !== NO_ID) this.#answered.add(id, { bytes, replies, answer: request.answer });
  }

  #isWrite(message: Request): boolean {
    try {
      return this.#shared.options.classify(message).kind !== "read";
    } catch {
      return false;
    }
  }

  #drop(why: keyof DatagramDrops): void {
    this.#shared.datagramDrops[why] += 1;
  }
}

/** Undefined when the application's function throws: then it is no message. */
function idOf(id: () => Id): Id | undefined {
  try {
    return id();
  } catch {
    return undefined;
  }
}
