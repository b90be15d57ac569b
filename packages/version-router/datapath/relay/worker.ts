/** Entry of the relay's thread: starts the engine, hands it requests, posts its answers. See engine-thread.ts. */
import { parentPort, receiveMessageOnPort, workerData } from "node:worker_threads";
import { RouterError } from "../../errors.ts";
import { Engine } from "./engine.ts";
import type { EngineOptions, Reply, Request } from "./messages.ts";

const port = parentPort;
if (port === null) throw new Error("This file is the entry of a worker thread.");

function reply(message: Reply): void {
  // oxlint-disable-next-line unicorn/require-post-message-target-origin -- a thread has no origin, that is for windows
  port?.postMessage(message);
}

function answerAll(): void {
  for (let next = take(); next !== undefined; next = take()) {
    reply({ type: "answer", id: next.id, value: engine.answer(next.command) });
  }
}

function take(): Request | undefined {
  return port === null ? undefined : (receiveMessageOnPort(port)?.message as Request | undefined);
}

function start(): Engine {
  try {
    return new Engine(workerData as EngineOptions, answerAll);
  } catch (error) {
    const code = error instanceof RouterError ? error.code : "E_KERNEL";
    reply({ type: "failed", code, message: String(error) });
    throw error;
  }
}

const engine = start();
reply({ type: "ready", ports: engine.ports(), wakeFd: engine.wakeFd });
engine.run();
port.close();
