/** The requests of one client connection: accepted in order, begun when they may be, answered in order. */
import { PeekBuffer } from "../buffer/peek-buffer.ts";
import type { Connection, ServerEnd } from "../connection/contract.ts";
import type { Frame, RequestReader } from "../framing/contract.ts";
import type { Classified } from "./contract.ts";
import { Dispatcher } from "./dispatcher.ts";
import { answerOf, mayBegin, newExchange, type Answer, type Exchange } from "./exchange.ts";
import { sendOnly } from "./send-only.ts";
import type { SharedState } from "./shared-state.ts";

export class ClientExchanges<Request, Reply> {
  readonly #shared: SharedState<Request, Reply>;
  readonly #connection: Connection;
  readonly #reader: RequestReader<Request>;
  readonly #dispatcher: Dispatcher<Request, Reply>;
  readonly #queue: Exchange<Request, Reply>[] = [];
  #input: PeekBuffer | undefined;
  /** End of the last accepted request in the client's stream. */
  #acceptedTo = 0;
  /** No further request is accepted; the connection ends behind the last answer. */
  #closing = false;
  #whenRoom: (() => void) | undefined;
  /** Goes to the client as soon as everything before it is answered. */
  #interim: Uint8Array | undefined;

  constructor(shared: SharedState<Request, Reply>, connection: Connection) {
    this.#shared = shared;
    this.#connection = connection;
    this.#reader = shared.options.framing.requestReader();
    this.#dispatcher = new Dispatcher(shared, connection, () => this.#pump());
  }

  onRequest(buffer: PeekBuffer): number | Promise<number> {
    this.#input = buffer;
    if (this.#closing) return buffer.length;
    const frame = this.#reader.read(buffer);
    switch (frame.kind) {
      case "incomplete":
        this.#interim = frame.answerNow ?? this.#interim;
        this.#flush();
        return 0;
      case "skip":
        return frame.bytes;
      case "refused":
        this.#refuse(frame);
        return buffer.length;
      case "message":
        this.#acceptedTo = buffer.consumed + frame.bytes;
        this.#accept(frame.message);
        if (this.#hasRoom()) return frame.bytes;
        return new Promise((resolve) => (this.#whenRoom = () => resolve(frame.bytes)));
      default:
        return frame satisfies never;
    }
  }

  onReply(version: number, buffer: PeekBuffer): number {
    return this.#dispatcher.onReply(version, buffer);
  }

  onServerEnd(end: ServerEnd, buffer: PeekBuffer): void {
    this.#dispatcher.onServerEnd(end, buffer);
  }

  /** Other versions run, or those that run have other roles. */
  onVersionsChanged(): void {
    this.#dispatcher.onRolesChanged();
    for (const exchange of this.#queue) this.#dispatcher.step(exchange);
    this.#pump();
  }

  onDraining(): void {
    this.#dispatcher.dropCopies();
  }

  onClientEnd(): void {
    this.#closing = true;
    if (this.#queue.length === 0) this.#connection.endClient();
  }

  /** The connection is over, whatever was in flight: nobody else may have to wait for it. */
  onClosed(): void {
    for (const exchange of this.#queue.splice(0)) this.#dispatcher.abandon(exchange);
    this.#dispatcher.onClosed();
  }

  #accept(request: Request): void {
    const { framing, reads, writes } = this.#shared.options;
    const bytes = framing.sizeOf(request);
    const done = this.#connection.requestStarted(bytes);
    const oneWay = framing.expectsReply?.(request) === false;
    const classified = this.#classify(request);
    const isRead = classified?.kind === "read";
    const exchange = newExchange<Request, Reply>({
      request,
      bytes,
      classified: classified ?? { kind: "read" },
      policy: oneWay ? sendOnly(!isRead) : isRead ? reads : writes,
      oneWay,
      done,
    });
    exchange.answer = this.#early(request, classified === undefined, oneWay);
    this.#queue.push(exchange);
    if (framing.isLastRequest?.(request) === true) this.#closing = true;
    this.#pump();
  }

  /** Undefined when the application's function throws; that costs this request only. */
  #classify(request: Request): Classified | undefined {
    try {
      return this.#shared.options.classify(request);
    } catch {
      return undefined;
    }
  }

  /** The answer of a request that no version is asked about. */
  #early(request: Request, unclassified: boolean, oneWay: boolean): Answer<Reply> | undefined {
    const { framing } = this.#shared.options;
    const failed = (what: string): Answer<Reply> =>
      answerOf(() => framing.failure("internal", `the proxy's ${what} failed`, request), oneWay);
    if (unclassified) return failed("classifier");
    try {
      const own = framing.ownReply?.(request);
      return own === undefined ? undefined : answerOf(() => own, oneWay);
    } catch {
      return failed("own reply");
    }
  }

  #refuse(frame: Extract<Frame<Request>, { readonly kind: "refused" }>): void {
    const { framing, reads } = this.#shared.options;
    const done = this.#connection.requestStarted();
    const exchange = newExchange<Request, Reply>({
      request: undefined,
      bytes: 0,
      classified: { kind: "read" },
      policy: reads,
      oneWay: false,
      done,
    });
    exchange.answer = answerOf(() => framing.refusal(frame.status, frame.why), false);
    this.#queue.push(exchange);
    this.#closing = true;
    this.#pump();
  }

  /** Begins what has its turn, answers what can be answered. */
  #pump(): void {
    const queue = [...this.#queue];
    for (const [index, exchange] of queue.entries()) {
      if (exchange.begun || exchange.answer !== undefined) continue;
      if (!mayBegin(exchange, queue.slice(0, index))) break;
      exchange.begun = true;
      this.#dispatcher.begin(exchange);
    }
    this.#flush();
  }

  #flush(): void {
    const connection = this.#connection;
    for (let head = this.#queue[0]; head?.answer !== undefined; head = this.#queue[0]) {
      this.#queue.shift();
      const last = this.#queue.length === 0 && (this.#closing || (connection.draining && !this.#moreCame()));
      const understood = this.#tell(head.answer, head.request, last);
      if (last || !understood) {
        this.#closing = true;
        connection.endClient();
      }
      head.done();
    }
    if (this.#queue.length === 0 && this.#interim !== undefined) {
      connection.enqueueClient(this.#interim);
      this.#interim = undefined;
    }
    if (!this.#hasRoom()) return;
    this.#whenRoom?.();
    this.#whenRoom = undefined;
  }

  /** Returns whether the client was told what it has to know; if not, its connection cannot go on. */
  #tell(answer: Answer<Reply>, request: Request | undefined, last: boolean): boolean {
    if (answer.kind !== "reply") return answer.kind === "nothing";
    try {
      const bytes = this.#shared.options.framing.encodeReply(answer.reply, request, last);
      this.#connection.enqueueClient(new PeekBuffer(...bytes));
      return true;
    } catch {
      // The application made a reply that cannot be written.
      return false;
    }
  }

  /** Whether a further request may be accepted before those in the queue are answered. */
  #hasRoom(): boolean {
    const { pipelineMax, pipelineBytesMax } = this.#shared.limits;
    const bytes = this.#queue.reduce((sum, exchange) => sum + exchange.bytes, 0);
    return this.#queue.length < pipelineMax && bytes < pipelineBytesMax;
  }

  /** Bytes of a further request are here already; it is answered too before the connection is ended. */
  #moreCame(): boolean {
    const input = this.#input;
    return input !== undefined && input.consumed + input.length > this.#acceptedTo;
  }
}
