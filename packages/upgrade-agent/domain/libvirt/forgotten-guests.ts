/**
 * What libvirt forgets of a guest of Xen when it is killed while it makes one: the guest itself, paused or running, with
 * the name that the next one shall bear, so that Xen refuses that.
 */
import { execFile } from "node:child_process";
import { promisify } from "node:util";
import { uuidOf } from "../xml/frame.ts";

const execute = promisify(execFile);

/** Xen's number of the guest with this UUID; `listing` is what `xl list -v` prints. Pure. */
export function guestWith(listing: string, uuid: string): string | undefined {
  for (const line of listing.split("\n")) {
    const [, id] = /^\S+\s+(\d+)\s/.exec(line) ?? [];
    if (id !== undefined && line.split(/\s+/).includes(uuid)) return id;
  }
  return undefined;
}

/**
 * Destroys the guest, known by the UUID that all of ours of that name have, which libvirt must not know any more. Without xl
 * on the host there is nothing to do it with.
 */
export async function destroyForgotten(name: string): Promise<void> {
  const listed = await execute("xl", ["list", "-v"]).catch(() => undefined);
  const id = guestWith(listed?.stdout ?? "", uuidOf(name));
  if (id !== undefined) await execute("xl", ["destroy", id]);
}
