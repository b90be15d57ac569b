/** Handlers for any framed protocol, out of a framing, a classifier and two policies. */
import type { ComparisonReport } from "../compare/contract.ts";
import type { Connection, ProxyHandlers } from "../connection/contract.ts";
import type { DatagramWords } from "../framing/datagram/framing.ts";
import type { PeekBuffer } from "../buffer/peek-buffer.ts";
import { ClientExchanges } from "./client-exchanges.ts";
import { DatagramExchanges } from "./datagram-exchanges.ts";
import type { ProxyEvent } from "./events.ts";
import type { DatagramDrops, FramedProxyOptions, VersionCounts } from "./options.ts";
import { SharedState } from "./shared-state.ts";

export interface FramedProxy extends ProxyHandlers {
  /** Datagrams that no policy saw, since the start. */
  datagramDrops(): Readonly<DatagramDrops>;
  /** Per version, since the start. */
  counts(): Readonly<Record<string, Readonly<VersionCounts>>>;
  /** The last hundred things that whoever watches over the proxy must know, oldest first. */
  events(): readonly ProxyEvent[];
  /** Of each pair of versions whose replies are compared. */
  comparisons(): readonly ComparisonReport[];
  /** Calls back after every event. The returned function ends that. */
  onEvent(told: () => void): () => void;
  /** Keeps a version out that was found sick before this proxy began; without quarantine among the options: nothing. */
  quarantine(version: number): void;
  /** Versions that run and are kept out because they are sick. */
  quarantined(): readonly number[];
  /**
   * Lets a version have its say again; see to its data before, it missed writes. Returns whether it was kept out.
   * `nowMs`: of the connections' clock.
   */
  readmit(version: number, nowMs: number): boolean;
}

export function createFramedProxy<Request, Reply>(options: FramedProxyOptions<Request, Reply>): FramedProxy {
  const shared = new SharedState(options);
  const watched = watchedBy(shared);
  const { datagram } = options.framing;
  if (datagram !== undefined)
    return { ...datagramHandlers(shared, datagram), ...watched, transport: "datagram" };
  return { ...streamHandlers(shared), ...watched, transport: "stream" };
}

function datagramHandlers<Request, Reply>(
  shared: SharedState<Request, Reply>,
  words: DatagramWords<Request, Reply>,
): ProxyHandlers {
  const byFlow = new Map<Connection, DatagramExchanges<Request, Reply>>();
  const of = (flow: Connection): DatagramExchanges<Request, Reply> => {
    const known = byFlow.get(flow);
    if (known !== undefined) return known;
    const made = new DatagramExchanges(shared, flow, words);
    byFlow.set(flow, made);
    shared.clients.add(made);
    return made;
  };
  const whole = (handle: (bytes: Buffer) => void, buffer: PeekBuffer): number => {
    const bytes = buffer.read();
    handle(bytes);
    return bytes.length;
  };
  return {
    handleRequest: (_version, buffer, flow) => whole((bytes) => of(flow).onRequest(bytes), buffer),
    handleReply: (version, buffer, flow) => whole((bytes) => of(flow).onReply(version, bytes), buffer),
    serverEnded: (end, _buffer, flow) => of(flow).onServerEnd(end),
    versionsChanged: (flow) => of(flow).onVersionsChanged(),
    draining: (flow) => of(flow).onDraining(),
    closed: (flow) => {
      const exchanges = of(flow);
      shared.clients.delete(exchanges);
      exchanges.onClosed();
      byFlow.delete(flow);
    },
  };
}

function streamHandlers<Request, Reply>(shared: SharedState<Request, Reply>): ProxyHandlers {
  const byConnection = new Map<Connection, ClientExchanges<Request, Reply>>();
  const of = (connection: Connection): ClientExchanges<Request, Reply> => {
    const known = byConnection.get(connection);
    if (known !== undefined) return known;
    const made = new ClientExchanges(shared, connection);
    byConnection.set(connection, made);
    shared.clients.add(made);
    return made;
  };
  return {
    handleRequest: (_version, buffer, connection) => of(connection).onRequest(buffer),
    handleReply: (version, buffer, connection) => of(connection).onReply(version, buffer),
    clientEnded: (connection) => of(connection).onClientEnd(),
    serverEnded: (end, buffer, connection) => of(connection).onServerEnd(end, buffer),
    versionsChanged: (connection) => of(connection).onVersionsChanged(),
    draining: (connection) => of(connection).onDraining(),
    closed: (connection) => {
      const exchanges = of(connection);
      shared.clients.delete(exchanges);
      exchanges.onClosed();
      byConnection.delete(connection);
    },
  };
}

function watchedBy<Request, Reply>(
  shared: SharedState<Request, Reply>,
): Omit<FramedProxy, keyof ProxyHandlers> {
  return {
    datagramDrops: () => shared.datagramDrops,
    counts: () => Object.fromEntries(shared.counts),
    comparisons: () => shared.comparisons?.reports() ?? [],
    events: () => shared.events.all(),
    onEvent: (told) => shared.events.onEvent(told),
    quarantine: (version) => shared.quarantine?.add(version),
    quarantined: () => shared.quarantine?.versions() ?? [],
    readmit: (version, nowMs) => shared.readmit(version, nowMs),
  };
}
