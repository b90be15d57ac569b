/** The swarm as the agent sees it. It remembers what is given, so that a thread that died is replaced unnoticed. */
import { setTimeout as sleep } from "node:timers/promises";
import { AgentError } from "../errors.ts";
import type { Download, Swarm } from "./contract.ts";
import type { Command, Made, SwarmOptions } from "./messages.ts";
import { SwarmThread, ThreadDied } from "./thread.ts";
import { infohashOf } from "./torrent.ts";

/** Deaths of the thread within the window after which it is not replaced any more. */
const DEATHS_MAX = 5;
const DEATHS_WINDOW_MS = 60_000;
const RESTART_DELAY_MS = 500;

const givingUp = "The swarm's thread does not stay alive; see the warnings in the log and restart the agent.";

type DownloadRequest = Parameters<Swarm["download"]>[0];

/** Resolves when the swarm listens. Throws `E_PORT_TAKEN`, `E_CONFIG` (the machine does not have that address). */
export async function createSwarm(options: SwarmOptions): Promise<Swarm> {
  const swarm = new ThreadedSwarm(options);
  await swarm.start();
  return swarm;
}

class ThreadedSwarm implements Swarm {
  #options: SwarmOptions;
  #thread: Promise<SwarmThread> | undefined;
  readonly #listeners = new Map<string, (progress: Download) => void>();
  /** File and torrent of everything that is complete and given, by infohash. */
  readonly #given = new Map<string, Extract<Command, { readonly type: "seed" }>>();
  #downloads: readonly Download[] = [];
  #deathsAtMs: readonly number[] = [];
  #closed = false;

  constructor(options: SwarmOptions) {
    this.#options = options;
  }

  get port(): number {
    return this.#options.port;
  }

  async start(): Promise<void> {
    this.#thread = this.#spawn();
    await this.#thread;
  }

  async createTorrent(file: string, name: string): Promise<Made> {
    const made = await this.#obey({ type: "createTorrent", file, name });
    if (made === undefined) throw new AgentError("E_INTERNAL", "The swarm answered without a torrent.");
    return made;
  }

  async seed(torrent: Uint8Array, file: string): Promise<void> {
    await this.#obey({ type: "seed", torrent, file });
    this.#given.set(infohashOf(torrent), { type: "seed", torrent, file });
  }

  async download({ torrent, infohash, file, peers, onProgress, signal }: DownloadRequest): Promise<void> {
    signal?.throwIfAborted();
    const stop = () => void this.remove(infohash).catch(() => undefined);
    signal?.addEventListener("abort", stop, { once: true });
    if (onProgress !== undefined) this.#listeners.set(infohash, onProgress);
    try {
      await this.#obey({ type: "download", torrent, infohash, file, peers });
      this.#given.set(infohash, { type: "seed", torrent, file });
    } catch (error) {
      signal?.throwIfAborted();
      throw error;
    } finally {
      signal?.removeEventListener("abort", stop);
      this.#listeners.delete(infohash);
    }
  }

  addPeers(infohash: string, peers: readonly string[]): void {
    this.#tell({ type: "addPeers", infohash, peers });
  }

  setAllowedPeers(addresses: readonly string[]): void {
    // Callers repeat themselves; only news crosses to the thread.
    const news = new Set(this.#options.allowedPeers).symmetricDifference(new Set(addresses));
    if (news.size === 0) return;
    this.#options = { ...this.#options, allowedPeers: addresses };
    this.#tell({ type: "setAllowedPeers", addresses });
  }

  async remove(infohash: string): Promise<void> {
    this.#given.delete(infohash);
    await this.#obey({ type: "remove", infohash });
  }

  list(): readonly Download[] {
    return this.#downloads;
  }

  async close(): Promise<void> {
    if (this.#closed) return;
    this.#closed = true;
    const thread = await this.#thread?.catch(() => undefined);
    await thread?.end();
    this.#downloads = [];
  }

  /** Given again to the thread's successor when the thread dies. */
  async #obey(command: Command): Promise<Made | undefined> {
    for (;;) {
      if (this.#closed) throw new AgentError("E_FETCH", "The swarm is closed.");
      const thread = await this.#thread;
      try {
        return await thread?.request(command);
      } catch (error) {
        if (!(error instanceof ThreadDied)) throw error;
      }
    }
  }

  /** For commands without an answer. What they change is remembered here as well, where it matters. */
  #tell(command: Command): void {
    this.#obey(command).catch(() => undefined);
  }

  async #spawn(): Promise<SwarmThread> {
    const { thread, port } = await SwarmThread.start(this.#options, {
      onProgress: (downloads) => this.#onProgress(downloads),
      onDeath: (reason) => this.#onDeath(reason),
    });
    this.#options = { ...this.#options, port };
    return thread;
  }

  #onProgress(downloads: readonly Download[]): void {
    this.#downloads = downloads;
    for (const progress of downloads) this.#listeners.get(progress.infohash)?.(progress);
  }

  #onDeath(reason: unknown): void {
    if (this.#closed) return;
    const nowMs = Date.now();
    this.#deathsAtMs = [...this.#deathsAtMs, nowMs].filter((atMs) => nowMs - atMs < DEATHS_WINDOW_MS);
    process.emitWarning(
      `The swarm's thread died and is replaced: ${reason instanceof Error ? reason.stack : String(reason)}`,
    );
    this.#thread = this.#replace();
    // Whoever needs the thread sees the failure.
    this.#thread.catch(() => undefined);
  }

  async #replace(): Promise<SwarmThread> {
    const deaths = this.#deathsAtMs.length;
    if (deaths > DEATHS_MAX) throw new AgentError("E_INTERNAL", givingUp);
    // After the first death soon, later with more patience.
    await sleep(RESTART_DELAY_MS * deaths);
    let thread: SwarmThread;
    try {
      thread = await this.#spawn();
    } catch (error) {
      throw error instanceof AgentError ? error : new AgentError("E_INTERNAL", givingUp, error);
    }
    for (const command of this.#given.values()) thread.request(command).catch(() => undefined);
    return thread;
  }
}
