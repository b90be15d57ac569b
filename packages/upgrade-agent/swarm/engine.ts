/** The swarm's work, in its own thread: webtorrent hashes where it runs, and the agent's thread has other things to do. */
import { AgentError } from "../errors.ts";
import { exists } from "../release/files.ts";
import type { Download } from "./contract.ts";
import { installGate, type Gate } from "./gate.ts";
import { Job, type JobOptions } from "./job.ts";
import { makeTorrent } from "./make-torrent.ts";
import type { Command, Made, SwarmOptions } from "./messages.ts";
import { checkTorrent, infohashOf } from "./torrent.ts";
import { WebTorrent, type Client } from "./webtorrent.ts";

/** Peers come from the agent and from each other, never from outside the fleet. */
const fleetOnly = {
  dht: false,
  tracker: false,
  lsd: false,
  natUpnp: false,
  natPmp: false,
  utp: false,
  webSeeds: false,
  utPex: true,
  secure: 0,
} as const;

export class Engine {
  readonly #client: Client;
  readonly #gate: Gate;
  readonly #jobs = new Map<string, Job>();
  readonly #retryTimer: NodeJS.Timeout;

  private constructor(client: Client, gate: Gate, retryIntervalMs: number) {
    this.#client = client;
    this.#gate = gate;
    this.#retryTimer = setInterval(() => this.#retryPeers(), retryIntervalMs);
  }

  /** Listens. Throws `E_PORT_TAKEN`, `E_CONFIG` when the machine does not have the address. */
  static async start(options: SwarmOptions): Promise<Engine> {
    const gate = installGate(options.host);
    gate.setAllowed(options.allowedPeers ?? []);
    const client = new WebTorrent({
      ...fleetOnly,
      torrentPort: options.port,
      maxConns: options.connectionsMax ?? 40,
      downloadLimit: options.downloadBytesPerSecond ?? -1,
      uploadLimit: options.uploadBytesPerSecond ?? -1,
    });
    client.blocked = { contains: (address) => !gate.isAllowed(address) };
    await listening(client, `${options.host}:${options.port}`);
    return new Engine(client, gate, options.retryIntervalMs ?? 2_000);
  }

  get port(): number {
    return this.#client.torrentPort;
  }

  get downloads(): readonly Download[] {
    return [...this.#jobs.values()].filter((job) => !job.ended).map((job) => job.progress);
  }

  /** Every command is idempotent, so that it can be given again to an engine that took a dead one's place. */
  async obey(command: Command): Promise<Made | undefined> {
    switch (command.type) {
      case "createTorrent":
        return makeTorrent(command.file, command.name);
      case "seed":
        await this.#begin({ ...command, kind: "seed", infohash: infohashOf(command.torrent) }).finished;
        break;
      case "download":
        await this.#download(command);
        break;
      case "addPeers":
        this.#jobs.get(command.infohash)?.addPeers(command.peers);
        break;
      case "setAllowedPeers":
        this.#gate.setAllowed(command.addresses);
        this.#retryPeers();
        break;
      case "remove":
        await this.#remove(command.infohash);
        break;
      case "close":
        await this.#close();
        break;
    }
    return undefined;
  }

  async #download(command: Extract<Command, { readonly type: "download" }>): Promise<void> {
    const present = this.#jobs.get(command.infohash);
    // It was complete once, but that file is gone or elsewhere: the one that is asked for has to be fetched.
    if (present?.progress.done === true && !(await exists(command.file)))
      await this.#remove(command.infohash);
    const job = this.#begin({ ...command, kind: "download" });
    job.addPeers(command.peers);
    await job.finished;
  }

  #begin(options: Omit<JobOptions, "length">): Job {
    const { length } = checkTorrent(options.torrent, options.infohash);
    const present = this.#jobs.get(options.infohash);
    if (present !== undefined && !present.ended) return present;
    const job = new Job(this.#client, { ...options, length });
    this.#jobs.set(options.infohash, job);
    return job;
  }

  async #remove(infohash: string): Promise<void> {
    const job = this.#jobs.get(infohash);
    this.#jobs.delete(infohash);
    await job?.stop();
  }

  #retryPeers(): void {
    for (const job of this.#jobs.values()) job.retryPeers();
  }

  async #close(): Promise<void> {
    clearInterval(this.#retryTimer);
    await Promise.all([...this.#jobs.keys()].map((infohash) => this.#remove(infohash)));
    await new Promise<void>((resolve) => {
      this.#client.destroy(resolve);
    });
  }
}

async function listening(client: Client, place: string): Promise<void> {
  const { promise, resolve, reject } = Promise.withResolvers<void>();
  client.once("listening", resolve);
  client.once("error", reject);
  try {
    await promise;
  } catch (cause) {
    const { code, message } = cause as NodeJS.ErrnoException;
    if (code === "EADDRINUSE") {
      throw new AgentError(
        "E_PORT_TAKEN",
        `${place} is taken, the swarm cannot listen there; end what has it.`,
        cause,
      );
    }
    throw new AgentError(
      "E_CONFIG",
      `The swarm cannot listen on ${place}: ${message}; correct the address.`,
      cause,
    );
  } finally {
    // From now on an error of the client is nobody's to swallow: it ends this thread, and the other one replaces it.
    client.off("error", reject);
  }
}
