/** Boots one tiny guest through libvirt and waits for its hello. Whatever happens, nothing of it stays. */
import { chmod, mkdir, mkdtemp, readFile, rm } from "node:fs/promises";
import { basename, join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { Connection } from "../libvirt/connection.ts";
import { unlessAbsent } from "../libvirt/listing.ts";
import { HELLO } from "./guest.ts";
import type { Guest, GuestOptions } from "./guest.ts";

/** Milliseconds between two looks at the console. */
const LOOK_MS = 50;

export interface BootOptions {
  readonly socket: string;
  readonly uri: string;
  /** Where the guest's files may lie for a moment; the hypervisor's user must be able to pass through it. */
  readonly scratchDirectory: string;
  readonly timeoutMs: number;
  readonly makeGuest: (options: GuestOptions) => Promise<Guest>;
}

/** Milliseconds from asking libvirt to the guest's hello. Throws what went wrong, in a sentence. */
export async function bootOnce(options: BootOptions): Promise<number> {
  await mkdir(options.scratchDirectory, { recursive: true });
  const directory = await mkdtemp(join(options.scratchDirectory, "vm-probe-"));
  try {
    await chmod(directory, 0o711);
    const guest = await options.makeGuest({ directory, name: basename(directory).toLowerCase() });
    return await run(options, guest);
  } finally {
    await rm(directory, { recursive: true, force: true });
  }
}

async function run(options: BootOptions, guest: Guest): Promise<number> {
  const connection = await Connection.open({ socket: options.socket, uri: options.uri });
  try {
    const startedAt = performance.now();
    const domain = await connection.createDomain(guest.xml, { autodestroy: true });
    try {
      while (!(await readFile(guest.consoleLog, "latin1")).includes(HELLO)) {
        if ((await unlessAbsent(domain.isRunning())) !== true)
          throw new Error("the tiny guest ended before its hello");
        const elapsedMs = performance.now() - startedAt;
        if (elapsedMs > options.timeoutMs)
          throw new Error(`the tiny guest was silent for ${options.timeoutMs} ms`);
        await sleep(LOOK_MS);
      }
      return Math.round(performance.now() - startedAt);
    } finally {
      await unlessAbsent(domain.destroy());
    }
  } finally {
    await connection.close();
  }
}
