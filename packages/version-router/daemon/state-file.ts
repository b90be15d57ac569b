/**
 * What outlives the daemon but not the machine, and is not in the data path: advertisements, managed peers and what
 * was heard. A JSON file beside the control socket; losing it costs a few rounds of gossip, nothing else.
 */
import { readFile, rename, writeFile } from "node:fs/promises";
import { z } from "zod";
import { PeerAddress } from "./config.ts";
import { AdvertisementSchema, ServiceName } from "./requests.ts";
import { Turnstile } from "./turnstile.ts";

const StateSchema = z.object({
  format: z.literal(1),
  advertisements: z.record(ServiceName, z.array(AdvertisementSchema)),
  managedPeers: z.array(PeerAddress),
  facts: z.array(
    z.object({
      peerAddress: PeerAddress,
      service: ServiceName,
      senderVersion: z.int().min(0),
      advertisement: AdvertisementSchema,
      toldAtMs: z.number(),
    }),
  ),
});

export type SavedState = z.infer<typeof StateSchema>;

const EMPTY_STATE: SavedState = { format: 1, advertisements: {}, managedPeers: [], facts: [] };

export class StateFile {
  readonly #path: string;
  readonly #turnstile = new Turnstile();

  constructor(path: string) {
    this.#path = path;
  }

  /** An absent, torn or foreign file is as good as none. */
  async load(): Promise<SavedState> {
    try {
      return StateSchema.parse(JSON.parse(await readFile(this.#path, "utf8")));
    } catch {
      return EMPTY_STATE;
    }
  }

  /** Readers see the old file or the new one, never half of it. */
  save(state: SavedState): Promise<void> {
    return this.#turnstile.run(async () => {
      await writeFile(`${this.#path}.new`, JSON.stringify(state), { mode: 0o600 });
      await rename(`${this.#path}.new`, this.#path);
    });
  }
}
