/** One torrent on this node, from opening its file to letting go of it. */
import { AgentError } from "../errors.ts";
import { diskFull } from "../release/files.ts";
import type { Download } from "./contract.ts";
import { exchangePeers } from "./peer-exchange.ts";
import { PieceFile } from "./piece-file.ts";
import type { Client, Torrent } from "./webtorrent.ts";

/** Addresses kept per torrent, the newest; more would not all be connected anyway. */
const PEERS_KEPT_MAX = 200;

export interface JobOptions {
  readonly torrent: Uint8Array;
  readonly infohash: string;
  readonly file: string;
  /** Bytes of the file. */
  readonly length: number;
  /** A seed only reads, and fails when the file is not what the torrent says. */
  readonly kind: "seed" | "download";
}

export class Job {
  readonly #options: JobOptions;
  readonly #client: Client;
  readonly #peers = new Set<string>();
  readonly #finished = Promise.withResolvers<void>();
  readonly #started: Promise<void>;
  #torrent: Torrent | undefined;
  #store: PieceFile | undefined;
  #ended = false;

  constructor(client: Client, options: JobOptions) {
    this.#client = client;
    this.#options = options;
    // Nobody may be waiting when it fails.
    this.#finished.promise.catch(() => undefined);
    this.#started = this.#start().catch((error: unknown) => this.#end(error));
  }

  /** Resolves when the file is complete and synced. Rejects with `E_DISK_FULL`, `E_RELEASE_ALTERED`, `E_FETCH`. */
  get finished(): Promise<void> {
    return this.#finished.promise;
  }

  /** Failed or stopped: it does nothing any more, and another may be begun in its place. */
  get ended(): boolean {
    return this.#ended;
  }

  get progress(): Download {
    const torrent = this.#torrent?.destroyed === false ? this.#torrent : undefined;
    return {
      infohash: this.#options.infohash,
      receivedBytes: torrent?.downloaded ?? 0,
      totalBytes: this.#options.length,
      peers: torrent?.wires.length ?? 0,
      done: torrent?.done ?? false,
    };
  }

  addPeers(peers: readonly string[]): void {
    for (const peer of peers) {
      this.#peers.delete(peer);
      this.#peers.add(peer);
    }
    for (const peer of [...this.#peers].slice(0, -PEERS_KEPT_MAX)) this.#peers.delete(peer);
    this.retryPeers();
  }

  /** webtorrent gives a peer up after three tries; a node that restarts takes longer. Connected ones are skipped. */
  retryPeers(): void {
    const torrent = this.#torrent;
    if (torrent === undefined || torrent.destroyed || torrent.done) return;
    for (const peer of this.#peers) torrent.addPeer(peer);
  }

  /** Lets go of the file and of all peers. */
  async stop(): Promise<void> {
    const { infohash } = this.#options;
    this.#end(new AgentError("E_FETCH", `The download of ${infohash} was stopped before it was complete.`));
    await this.#started;
    await this.#store?.close();
  }

  async #start(): Promise<void> {
    const { torrent: bytes, file, length, kind } = this.#options;
    this.#store = await PieceFile.open(file, length, kind === "download").catch((error: Error) => {
      throw diskFull(error, file) === error ? cannotOpen(file, error) : error;
    });
    if (this.#ended) return;
    // No cache of pieces: the kernel has one. Rarest first, so that nodes that fetch together fetch different pieces:
    // with links as the limit, four nodes had a release in two thirds of the time that it took one piece after another.
    const options = { store: this.#store.storeClass, storeCacheSlots: 0, strategy: "rarest" } as const;
    const torrent = this.#client.add(bytes, options);
    this.#torrent = torrent;
    torrent.on("error", (error: unknown) => this.#end(error));
    exchangePeers(torrent, { known: this.#peers, swarmPort: this.#client.torrentPort });
    torrent.once("done", () => void this.#finish());
    torrent.once("ready", () => {
      this.retryPeers();
      // "done" follows "ready" at once when all pieces are there.
      if (kind === "seed") queueMicrotask(() => this.#mustBeDone(torrent));
    });
  }

  #mustBeDone(torrent: Torrent): void {
    if (torrent.done || torrent.destroyed) return;
    const message = `${this.#options.file} is not the file of its torrent; fetch or pack the release again.`;
    this.#end(new AgentError("E_RELEASE_ALTERED", message));
  }

  async #finish(): Promise<void> {
    try {
      if (this.#options.kind === "download") await this.#store?.sync();
      this.#finished.resolve();
    } catch (error) {
      this.#end(error);
    }
  }

  /** After it finished, only `stop` and trouble with the file come here; nobody waits for an answer then. */
  #end(error: unknown): void {
    this.#ended = true;
    this.#finished.reject(diskFull(error, this.#options.file));
    if (this.#torrent?.destroyed === false) this.#torrent.destroy({ destroyStore: false }, () => undefined);
    void this.#store?.close();
  }
}

function cannotOpen(file: string, cause: Error): AgentError {
  return new AgentError(
    "E_FETCH",
    `${file} cannot be opened (${cause.message}); look after its directory.`,
    cause,
  );
}
