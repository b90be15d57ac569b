/** Asking a domain to end by itself, as often as it takes, and waiting until it has. */
import { setTimeout as sleep } from "node:timers/promises";
import type { ShutdownOptions } from "./connection.ts";
import { findOurs, stateOf, unlessAbsent } from "./listing.ts";
import { LibvirtError } from "./rpc/error.ts";
import type { Session } from "./session.ts";

/** A guest that is asked while it boots hears nothing of it, ms between two requests. */
const ASK_EVERY_MS = 2_000;
const LOOK_EVERY_MS = 50;

/**
 * Whether the domain has stopped by the deadline. A hypervisor that cannot ask lets the time pass, as a deaf guest does.
 * Throws E_DOMAIN when the domain is not ours.
 */
export async function shutDown(
  session: Session,
  name: string,
  { deadlineMs, ...how }: ShutdownOptions & { readonly deadlineMs: number },
): Promise<boolean> {
  const deadline = performance.now() + deadlineMs;
  await session.run((connection) => findOurs(connection, name));
  let askAt = 0;
  while ((await session.run((connection) => stateOf(connection, name))) === "running") {
    const now = performance.now();
    if (now >= deadline) return false;
    if (now >= askAt) {
      askAt = now + ASK_EVERY_MS;
      await ask(session, name, how);
    }
    await sleep(Math.min(LOOK_EVERY_MS, deadline - now));
  }
  return true;
}

async function ask(session: Session, name: string, how: ShutdownOptions): Promise<void> {
  try {
    await session.run(async (connection) => {
      const found = await findOurs(connection, name);
      if (found !== undefined) await unlessAbsent(found.domain.shutdown(how));
    });
  } catch (error) {
    if (!(error instanceof LibvirtError)) throw error;
  }
}
