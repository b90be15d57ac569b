/** One connection that is opened when needed, and opened again when libvirtd was restarted. */
import { setTimeout as sleep } from "node:timers/promises";
import { Connection } from "./connection.ts";
import type { ConnectionOptions } from "./connection.ts";
import { isLost } from "./rpc/error.ts";

/** Milliseconds for which a daemon that was there may stay away, as it does while it is restarted or upgraded. */
const ABSENCE_MS = 15_000;

/** Milliseconds between two tries to reach it. */
const RETRY_MS = 200;

export class Session {
  readonly #options: ConnectionOptions;
  #connection: Promise<Connection> | undefined;
  #wasOpen = false;

  constructor(options: ConnectionOptions) {
    this.#options = options;
  }

  /**
   * Runs `work`, and runs it again from its beginning when the connection is lost on the way: so it must look first and
   * then act. Throws what `work` throws, and E_NO_LIBVIRT when the daemon stays away.
   */
  async run<T>(work: (connection: Connection) => Promise<T>): Promise<T> {
    const deadline = performance.now() + ABSENCE_MS;
    for (;;) {
      try {
        return await work(await this.#open());
      } catch (error) {
        if (!isLost(error) || !this.#wasOpen || performance.now() > deadline) throw error;
        await sleep(RETRY_MS);
      }
    }
  }

  async #open(): Promise<Connection> {
    const current = await this.#connection?.catch(() => undefined);
    if (current?.alive === true) return current;
    this.#connection = Connection.open(this.#options);
    const opened = await this.#connection;
    this.#wasOpen = true;
    return opened;
  }

  async close(): Promise<void> {
    this.#wasOpen = false;
    const current = await this.#connection?.catch(() => undefined);
    await current?.close();
  }
}
