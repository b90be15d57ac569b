/** The stream of changes: on a connection of its own, which is made again when libvirtd was restarted. */
import { EventEmitter, on } from "node:events";
import { setTimeout as sleep } from "node:timers/promises";
import type { DomainEvent } from "../hypervisor.ts";
import { isOurs } from "../xml/frame.ts";
import { Connection } from "./connection.ts";
import type { ConnectionOptions } from "./connection.ts";
import { listOurs } from "./listing.ts";
import type { LifecycleMessage } from "./rpc/protocol.ts";
import { DomainTracker } from "./tracker.ts";

/** Milliseconds between two tries to reach a daemon that is away. */
const RETRY_MS = 500;

/** Begins with the present state of every domain, goes on with changes; those missed while away are told after. */
export async function* domainEvents(
  options: ConnectionOptions,
  signal: AbortSignal,
): AsyncGenerator<DomainEvent> {
  const tracker = new DomainTracker();
  while (!signal.aborted) {
    try {
      yield* whileConnected(options, tracker, signal);
    } catch {
      // Away, or lost while we asked: the next connection begins with a comparison, so nothing stays untold.
    }
    await sleep(RETRY_MS, undefined, { signal }).catch(() => undefined);
  }
}

async function* whileConnected(
  options: ConnectionOptions,
  tracker: DomainTracker,
  signal: AbortSignal,
): AsyncGenerator<DomainEvent> {
  const emitter = new EventEmitter();
  const messages = on(emitter, "message", { signal, close: ["end"] });
  const connection = await Connection.open({
    ...options,
    onLifecycle: (message) => emitter.emit("message", message),
  });
  try {
    void connection.ended.then(() => emitter.emit("end"));
    await connection.listen();
    yield* tracker.compare(await listOurs(connection));
    for await (const [message] of messages)
      yield* await news(connection, tracker, message as LifecycleMessage);
  } finally {
    await connection.close();
  }
}

async function news(
  connection: Connection,
  tracker: DomainTracker,
  message: LifecycleMessage,
): Promise<readonly DomainEvent[]> {
  const { name } = message.domain;
  const state = tracker.stateAfter(message.event);
  if (state === undefined) return [];
  if (tracker.knows(name)) return tracker.change(name, state);
  if (state !== "running") return [];
  const domain = await connection.lookupDomainByName(name);
  return isOurs(await domain.xml()) ? tracker.change(name, state) : [];
}
