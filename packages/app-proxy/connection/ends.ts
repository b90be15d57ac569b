/** How the sides of a connection end, and what the handlers are told of it. Pure. */
import type { Connection, ServerEnd } from "./contract.ts";
import { endOf, queuedBytes, type ServerLink } from "./server-link.ts";
import type { ConnectionState } from "./state.ts";

/** Tells the handlers of ends whose last bytes they have been offered. Returns whether there was one. */
export function reportEnds(state: ConnectionState, connection: Connection): boolean {
  let reported = false;
  for (const link of state.links.all()) {
    if (link.over === undefined || link.reported || !link.inlet.quiet) continue;
    report(state, connection, link);
    reported = true;
  }
  if (state.client.ended && !state.client.endReported && state.inlet.quiet) {
    state.client.endReported = true;
    reported = true;
    if (state.handlers.clientEnded === undefined) passClientEnd(state, connection);
    else state.handlers.clientEnded(connection);
  }
  return reported;
}

/** Ends a server connection from our side and tells the handlers at once. */
export function breakLink(
  state: ConnectionState,
  connection: Connection,
  link: ServerLink,
  reason: ServerEnd["reason"],
  detail?: string,
): void {
  state.links.remove(link);
  link.lost = true;
  if (link.reported) return;
  link.over = reason;
  link.overDetail = detail;
  report(state, connection, link);
}

/** Takes away what has ended on both sides, and ends the whole when nothing is left to wait for. */
export function finishWhenDone(state: ConnectionState, connection: Connection): void {
  const { client, links } = state;
  for (const link of links.all()) {
    const bothEnded = link.over !== undefined && link.endSent && queuedBytes(link) === 0;
    if (link.reported && (bothEnded || link.lost)) links.remove(link);
  }
  // Requests in flight outlive their client, so that a write does not reach only some of the versions.
  if (state.inFlight > 0) return;
  if (client.lost) finish(state, connection, client.lostBecause);
  else if (client.endAsked && client.ended && client.queuedBytes === 0) finish(state, connection, "ended");
}

/** Nothing can be said to the client any more. What is in flight for it goes on to its end. */
export function loseClient(state: ConnectionState, reason: string): void {
  const { client } = state;
  if (client.lost) return;
  client.lost = client.ended = true;
  client.lostBecause = reason;
  client.queuedBytes = 0;
  state.inlet.clear();
}

export function finish(state: ConnectionState, connection: Connection, reason: string): void {
  if (state.over) return;
  state.over = true;
  for (const link of state.links.all()) state.links.remove(link);
  try {
    state.handlers.closed?.(connection);
  } finally {
    for (const end of state.requests) end();
    state.timers.clear();
    state.emit({ kind: "closed", reason });
  }
}

function report(state: ConnectionState, connection: Connection, link: ServerLink): void {
  link.reported = true;
  const end = endOf(link);
  if (link.lost) state.links.remove(link);
  if (state.handlers.serverEnded === undefined) passServerEnd(state, connection, end);
  else state.handlers.serverEnded(end, link.inlet.buffer, connection);
}

function passClientEnd(state: ConnectionState, connection: Connection): void {
  for (const link of state.links.all()) connection.endServer(link.version);
  if (state.links.size === 0) connection.endClient();
}

function passServerEnd(state: ConnectionState, connection: Connection, end: ServerEnd): void {
  if (end.reason !== "ended" && end.reason !== "retired") {
    loseClient(state, `the server of version ${end.version} ${end.reason}: ${end.detail ?? "no detail"}`);
  } else if (state.links.all().every((link) => link.over !== undefined)) {
    connection.endClient();
  }
}
