/** The relay's thread, seen from the daemon: requests go in, answers come out. */
import { writeSync, closeSync } from "node:fs";
import { Worker } from "node:worker_threads";
import { RouterError } from "../../errors.ts";
import type { Answers, Command, EngineOptions, Reply, Request } from "./messages.ts";
import type { RelayPorts } from "./chains.ts";

/** An eventfd takes eight bytes: the number to add. */
const WAKE = Buffer.from(BigUint64Array.of(1n).buffer);

interface Started {
  readonly ports: RelayPorts;
  readonly wakeFd: number;
}

export class EngineThread {
  readonly ports: RelayPorts;
  readonly #worker: Worker;
  readonly #wakeFd: number;
  readonly #waiting = new Map<number, (value: Answers[keyof Answers]) => void>();
  #nextId = 1;

  private constructor(worker: Worker, { ports, wakeFd }: Started) {
    this.ports = ports;
    this.#worker = worker;
    this.#wakeFd = wakeFd;
    worker.on("message", (reply: Reply) => {
      if (reply.type !== "answer") return;
      this.#waiting.get(reply.id)?.(reply.value);
      this.#waiting.delete(reply.id);
    });
  }

  /** Resolves when its sockets are open. Throws E_KERNEL. From then on an error in it ends the process. */
  static async start(options: EngineOptions): Promise<EngineThread> {
    const worker = new Worker(workerFile(), { workerData: options, name: "relay" });
    const started = await new Promise<Started>((resolve, reject) => {
      worker.once("error", reject);
      worker.once("message", (reply: Reply) => {
        if (reply.type === "failed") reject(new RouterError("E_KERNEL", reply.message));
        if (reply.type !== "ready") return;
        worker.removeAllListeners("error");
        resolve(reply);
      });
    });
    return new EngineThread(worker, started);
  }

  request<T extends Command["type"]>(command: Extract<Command, { type: T }>): Promise<Answers[T]> {
    const id = this.#nextId;
    this.#nextId += 1;
    const answer = new Promise<Answers[T]>((resolve) => {
      this.#waiting.set(id, (value) => resolve(value as Answers[T]));
    });
    const request: Request = { id, command };
    // oxlint-disable-next-line unicorn/require-post-message-target-origin -- a thread has no origin, that is for windows
    this.#worker.postMessage(request);
    writeSync(this.#wakeFd, WAKE);
    return answer;
  }

  async stop(): Promise<void> {
    const ended = new Promise<void>((resolve) => this.#worker.once("exit", () => resolve()));
    await this.request({ type: "stop" });
    await ended;
    closeSync(this.#wakeFd);
  }
}

/** Run from sources it is TypeScript, compiled it is JavaScript. */
function workerFile(): URL {
  return new URL(import.meta.url.endsWith(".ts") ? "./worker.ts" : "./worker.js", import.meta.url);
}
