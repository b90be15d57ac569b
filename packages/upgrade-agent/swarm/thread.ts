/** The thread that the swarm works in, seen from outside: requests go in, answers and progress come out. */
import { Worker } from "node:worker_threads";
import { AgentError } from "../errors.ts";
import type { Download } from "./contract.ts";
import type { Command, Made, PlainError, Reply, SwarmOptions } from "./messages.ts";

/** Milliseconds for an orderly end; then the thread is ended by force, and its sockets with it. */
const CLOSE_TIMEOUT_MS = 3_000;

/** The thread ended while it owed an answer. */
export class ThreadDied extends Error {}

export interface ThreadEvents {
  readonly onProgress: (downloads: readonly Download[]) => void;
  /** Ended unasked after it had started. */
  readonly onDeath: (reason: unknown) => void;
}

interface Pending {
  readonly resolve: (made: Made | undefined) => void;
  readonly reject: (error: unknown) => void;
}

export class SwarmThread {
  readonly #worker: Worker;
  readonly #events: ThreadEvents;
  readonly #pending = new Map<number, Pending>();
  readonly #ready = Promise.withResolvers<number>();
  #nextId = 1;
  #reason: unknown = "it exited";
  #started = false;
  #ended = false;

  private constructor(options: SwarmOptions, events: ThreadEvents) {
    this.#events = events;
    this.#worker = new Worker(workerFile(), { workerData: options, name: "swarm" });
    this.#worker.on("message", (reply: Reply) => this.#onReply(reply));
    this.#worker.on("error", (error) => {
      this.#reason = error;
    });
    this.#worker.once("exit", () => this.#onExit());
  }

  /** Resolves when it listens. Throws `E_PORT_TAKEN`, `E_CONFIG`, or `ThreadDied`. */
  static async start(
    options: SwarmOptions,
    events: ThreadEvents,
  ): Promise<{ readonly thread: SwarmThread; readonly port: number }> {
    const thread = new SwarmThread(options, events);
    try {
      return { thread, port: await thread.#ready.promise };
    } catch (error) {
      await thread.#terminate();
      throw error;
    }
  }

  /** Rejects with the engine's error, or with `ThreadDied`. */
  request(command: Command): Promise<Made | undefined> {
    if (this.#ended) return Promise.reject(this.#died());
    const id = this.#nextId;
    this.#nextId += 1;
    const { promise, resolve, reject } = Promise.withResolvers<Made | undefined>();
    this.#pending.set(id, { resolve, reject });
    // oxlint-disable-next-line unicorn/require-post-message-target-origin -- a thread has no origin, that is for windows
    this.#worker.postMessage({ id, command });
    return promise;
  }

  /** Orderly if it can, else by force. Nothing of it is left afterwards. */
  async end(): Promise<void> {
    const timeout = Promise.withResolvers<void>();
    const timer = setTimeout(timeout.resolve, CLOSE_TIMEOUT_MS);
    const orderly = this.request({ type: "close" }).catch(() => undefined);
    await Promise.race([orderly, timeout.promise]);
    clearTimeout(timer);
    await this.#terminate();
  }

  async #terminate(): Promise<void> {
    this.#ended = true;
    await this.#worker.terminate();
  }

  #onReply(reply: Reply): void {
    switch (reply.type) {
      case "ready":
        this.#started = true;
        return this.#ready.resolve(reply.port);
      case "unable":
        return this.#ready.reject(revive(reply.error));
      case "progress":
        return this.#events.onProgress(reply.downloads);
      case "done":
        return this.#take(reply.id)?.resolve(reply.result);
      case "failed":
        return this.#take(reply.id)?.reject(revive(reply.error));
    }
  }

  #take(id: number): Pending | undefined {
    const pending = this.#pending.get(id);
    this.#pending.delete(id);
    return pending;
  }

  #onExit(): void {
    const unasked = this.#started && !this.#ended;
    this.#ended = true;
    this.#ready.reject(this.#died());
    for (const { reject } of this.#pending.values()) reject(this.#died());
    this.#pending.clear();
    if (unasked) this.#events.onDeath(this.#reason);
  }

  #died(): ThreadDied {
    return new ThreadDied("The swarm's thread ended.", { cause: this.#reason });
  }
}

function workerFile(): URL {
  // The same file as TypeScript in the sources and as JavaScript in dist.
  return new URL(import.meta.url.endsWith(".ts") ? "./worker.ts" : "./worker.js", import.meta.url);
}

function revive({ code, message }: PlainError): AgentError {
  return new AgentError(code, message);
}
