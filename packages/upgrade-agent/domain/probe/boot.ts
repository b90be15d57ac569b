/** Boots one tiny guest through libvirt and waits for its proof that it runs. Whatever happens, nothing of it stays. */
import { chmod, mkdir, mkdtemp, readFile, rm } from "node:fs/promises";
import { basename, join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { Connection } from "../libvirt/connection.ts";
import type { Domain } from "../libvirt/connection.ts";
import { unlessAbsent } from "../libvirt/listing.ts";
import type { LifecycleMessage } from "../libvirt/rpc/protocol.ts";
import { HELLO } from "./guest.ts";
import type { Guest, GuestOptions } from "./guest.ts";

/** Milliseconds between two looks at the guest. */
const LOOK_MS = 50;

export interface BootOptions {
  readonly socket: string;
  readonly uri: string;
  /** Where the guest's files may lie for a moment; the hypervisor's user must be able to pass through it. */
  readonly scratchDirectory: string;
  readonly timeoutMs: number;
  readonly makeGuest: (options: GuestOptions) => Promise<Guest>;
}

/** Milliseconds from asking libvirt to the guest's proof. Throws what went wrong, in a sentence. */
export async function bootOnce(options: BootOptions): Promise<number> {
  await mkdir(options.scratchDirectory, { recursive: true });
  const directory = await mkdtemp(join(options.scratchDirectory, "vm-probe-"));
  try {
    await chmod(directory, 0o711);
    const guest = await options.makeGuest({ directory, name: basename(directory).toLowerCase() });
    try {
      return await run(options, guest);
    } finally {
      await guest.release?.();
    }
  } finally {
    await rm(directory, { recursive: true, force: true });
  }
}

/** `VIR_DOMAIN_EVENT_STOPPED`, and of its details `VIR_DOMAIN_EVENT_STOPPED_SHUTDOWN`: the guest itself asked for it. */
const [STOPPED, BY_ITSELF] = [5, 0];

async function run({ socket, uri, timeoutMs }: BootOptions, guest: Guest): Promise<number> {
  const told: LifecycleMessage[] = [];
  const connection = await Connection.open({ socket, uri, onLifecycle: (message) => told.push(message) });
  try {
    await connection.listen();
    const startedAt = performance.now();
    // libvirt's driver for Xen cannot end a domain with its connection; that guest ends by itself.
    const domain = await connection.createDomain(guest.xml, { autodestroy: guest.consoleLog !== undefined });
    try {
      const isProven =
        guest.consoleLog === undefined
          ? (): boolean => hasSwitchedOff(domain, told)
          : hasSaidHello(domain, guest.consoleLog);
      while (!(await isProven())) {
        const elapsedMs = performance.now() - startedAt;
        if (elapsedMs > timeoutMs) throw new Error(`the tiny guest was silent for ${timeoutMs} ms`);
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

function hasSaidHello(domain: Domain, consoleLog: string): () => Promise<boolean> {
  return async () => {
    if ((await readFile(consoleLog, "latin1")).includes(HELLO)) return true;
    if ((await unlessAbsent(domain.isRunning())) === true) return false;
    throw new Error("the tiny guest ended before its hello");
  };
}

function hasSwitchedOff({ name }: Domain, told: readonly LifecycleMessage[]): boolean {
  const end = told.find(({ domain, event }) => domain.name === name && event === STOPPED);
  if (end !== undefined && end.detail !== BY_ITSELF) throw new Error("the tiny guest crashed");
  return end !== undefined;
}
