/**
 * The life of one client's connection and of the server connections that serve it: events in, actions out.
 *
 * Pure: sockets, timers and the clock are the shell's (`tcp.ts`, or `../testing`). Who may send how much, when a side
 * is ended, and what a deadline does is decided here; what the bytes mean is decided by the handlers.
 */
import type { ConnectionEvent } from "./contract.ts";
import { deadlinesOf, earliestDeadlineMs, type Deadline } from "./deadlines.ts";
import { breakLink, finish, finishWhenDone, loseClient, reportEnds } from "./ends.ts";
import { HandlerConnection } from "./facade.ts";
import type { Inlet } from "./inlet.ts";
import { queuedBytes, type ServerLink } from "./server-link.ts";
import type { ConnectionState, CoreOptions } from "./state.ts";

export class ConnectionCore {
  readonly #connection: HandlerConnection;
  readonly #state: ConnectionState;
  readonly #events: ConnectionEvent[] = [];
  #running = false;
  #wakeAtMs = Infinity;

  constructor(options: CoreOptions) {
    this.#connection = new HandlerConnection(options, () => this.#advance());
    this.#state = this.#connection.state;
    this.#arm();
  }

  /** Connections to servers. */
  get linkCount(): number {
    return this.#state.links.size;
  }

  /** Bytes that this connection keeps in memory, both ways. */
  get bufferedBytes(): number {
    const { client, heldBytes, inlet, links } = this.#state;
    let bytes = heldBytes + inlet.buffer.length + client.queuedBytes;
    for (const link of links.all()) bytes += link.inlet.buffer.length + queuedBytes(link);
    return bytes;
  }

  handle(event: ConnectionEvent): void {
    this.#events.push(event);
    this.#advance();
  }

  /** Works off the events and what follows from them. Handlers act in the middle of it, which leads back here. */
  #advance(): void {
    const state = this.#state;
    if (this.#running || state.over) return;
    this.#running = true;
    try {
      let again = true;
      while (again && !state.over) {
        const event = this.#events.shift();
        if (event !== undefined) this.#take(event);
        const offered = this.#offer();
        again = reportEnds(state, this.#connection) || offered || this.#events.length > 0;
      }
      if (!state.over) finishWhenDone(state, this.#connection);
    } catch (error) {
      loseClient(state, `a handler failed: ${messageOf(error)}`);
      finishWhenDone(state, this.#connection);
    } finally {
      this.#running = false;
    }
    if (state.over) return;
    this.#control();
    this.#arm();
  }

  #take(event: ConnectionEvent): void {
    const state = this.#state;
    const { client } = state;
    switch (event.kind) {
      case "client-data":
        state.activeAtMs = state.now();
        if (!client.endAsked) state.inlet.add(event.bytes, state.now());
        return;
      case "client-end":
        client.ended = true;
        return;
      case "client-lost":
        return loseClient(state, "the client went away");
      case "client-written":
        client.queuedBytes -= event.bytes;
        client.progressAtMs = state.now();
        return;
      case "handled":
        return this.#handled(event.token, event.result);
      case "versions-changed":
        return this.#versionsChanged();
      case "drain":
        state.draining = true;
        // The silence that ends a connection counts from here: its client may be about to send.
        state.activeAtMs = state.now();
        return state.handlers.draining?.(this.#connection);
      case "tick":
        this.#wakeAtMs = Infinity;
        return this.#tick();
      default:
        return this.#takeFromServer(event);
    }
  }

  #takeFromServer(event: Extract<ConnectionEvent, { readonly link: number }>): void {
    const state = this.#state;
    const link = state.links.byId(event.link);
    // Its version was retired, or the handlers dropped it meanwhile.
    if (link === undefined) return;
    switch (event.kind) {
      case "server-connected":
        return state.links.connected(link);
      case "server-data":
        state.activeAtMs = state.now();
        return link.inlet.add(event.bytes, state.now());
      case "server-written":
        link.writtenBytes += event.bytes;
        link.progressAtMs = state.now();
        return;
      case "server-end":
        link.over ??= "ended";
        return;
      case "server-lost":
        link.lost = true;
        link.over ??= link.connected ? "failed" : "refused";
        link.overDetail ??= event.detail;
        return;
    }
  }

  #versionsChanged(): void {
    const state = this.#state;
    for (const link of state.links.all()) {
      if (!this.#connection.versions().has(link.version)) breakLink(state, this.#connection, link, "retired");
    }
    state.handlers.versionsChanged?.(this.#connection);
  }

  /** Offers what has arrived to the handlers. Returns whether anything was offered. */
  #offer(): boolean {
    const state = this.#state;
    const mayAsk = (): boolean => !state.over && !state.client.endAsked && !state.congested();
    let offered = !state.inlet.quiet && state.inlet.run(mayAsk, state.now());
    for (const link of state.links.all()) {
      if (link.reported || link.inlet.quiet) continue;
      const mayReply = (): boolean => !state.over && state.links.has(link) && !state.clientFull();
      try {
        offered = link.inlet.run(mayReply, state.now()) || offered;
      } catch (error) {
        this.#replyFailed(link, error);
      }
    }
    return offered;
  }

  #handled(token: number, result: number | { readonly error: unknown }): void {
    const state = this.#state;
    const inlet = state.awaited.get(token);
    state.awaited.delete(token);
    const link = state.links.all().find((candidate) => candidate.inlet === inlet);
    if (inlet === undefined || (inlet !== state.inlet && link === undefined)) return;
    try {
      if (typeof result !== "number") throw result.error;
      inlet.settle(result, state.now());
    } catch (error) {
      if (link === undefined) throw error;
      this.#replyFailed(link, error);
    }
  }

  #replyFailed(link: ServerLink, error: unknown): void {
    breakLink(this.#state, this.#connection, link, "failed", `the reply handler failed: ${messageOf(error)}`);
  }

  /** A sender is read while its handler wants more, and up to the high water mark while the handler may not run. */
  #control(): void {
    const state = this.#state;
    const { client } = state;
    const wantClient = client.endAsked || this.#wants(state.inlet, state.congested());
    if (wantClient !== client.reading && !client.ended) {
      client.reading = wantClient;
      state.emit({ kind: "client-read", on: wantClient });
    }
    for (const link of state.links.all()) {
      const want = this.#wants(link.inlet, state.clientFull());
      if (want === link.reading || link.over !== undefined) continue;
      link.reading = want;
      state.emit({ kind: "server-read", link: link.id, on: want });
    }
  }

  #wants(inlet: Inlet, blocked: boolean): boolean {
    return inlet.buffer.length < this.#state.limits.highWaterBytes || (inlet.quiet && !blocked);
  }

  #arm(): void {
    const state = this.#state;
    const atMs = Math.min(state.timers.earliestMs, earliestDeadlineMs(state, state.links.all()));
    if (atMs >= this.#wakeAtMs) return;
    this.#wakeAtMs = atMs;
    state.emit({ kind: "wake-at", atMs });
  }

  #tick(): void {
    const state = this.#state;
    const now = state.now();
    state.timers.run(now);
    for (const deadline of deadlinesOf(state, state.links.all()))
      if (deadline.atMs <= now && !state.over) this.#expire(deadline);
  }

  #expire(deadline: Deadline): void {
    const state = this.#state;
    switch (deadline.what) {
      case "idle":
        return finish(state, this.#connection, "idle for too long");
      case "client-stalled":
        return loseClient(state, "the client takes no bytes");
      case "message":
        return loseClient(state, "a message was not completed in time");
      case "linger":
        return loseClient(state, "the client did not close its side");
      case "drain-quiet":
        return this.#connection.endClient();
      case "connect":
        return breakLink(state, this.#connection, deadline.link, "refused", "no answer in time");
      case "server-stalled":
        return breakLink(state, this.#connection, deadline.link, "stalled", "it takes no bytes");
    }
  }
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
