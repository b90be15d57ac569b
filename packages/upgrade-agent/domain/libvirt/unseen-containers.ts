/**
 * Containers that libvirtd has lost sight of. As one starts, libvirt's lxc driver opens a line to its controller, and
 * lets its event loop read it before it has said which messages it understands: when the first one, which tells of the
 * container's init, comes in between, it closes the line ("No program found for event", seen with 9.0.0 once in thirty
 * starts on a busy machine). The container runs, but its end is never noticed. It is recognised by libvirt not knowing
 * the init.
 */
import { setTimeout as sleep } from "node:timers/promises";
import { AgentError } from "../../errors.ts";
import type { Domain } from "./connection.ts";
import { unlessAbsent } from "./listing.ts";
import { LibvirtError } from "./rpc/error.ts";

/** Milliseconds for the message to arrive, which takes one or two. */
const PATIENCE_MS = 3_000;
const PAUSE_MS = 20;

/** Throws E_LIBVIRT: it has to be ended and started again, with a new link, because its own goes with it. */
export async function assertSeen(domain: Domain): Promise<void> {
  const deadline = performance.now() + PATIENCE_MS;
  for (;;) {
    try {
      return await domain.touchInit();
    } catch (error) {
      if (!(error instanceof LibvirtError)) throw error;
      // One that has ended already, and was seen to, is the caller's to find.
      if ((await unlessAbsent(domain.isRunning())) !== true) return;
      if (performance.now() > deadline) {
        const message = `libvirtd lost sight of the container ${domain.name} as it started; start it again.`;
        throw new AgentError("E_LIBVIRT", message, error);
      }
    }
    await sleep(PAUSE_MS);
  }
}
