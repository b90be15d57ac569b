/**
 * The host's end of the line to a spare and to its clones, see image/base/files/sbin/vm-personalise. What comes from the
 * guest is short words; anything else ends the talk.
 */
import { randomBytes } from "node:crypto";
import { connect } from "node:net";
import type { Socket } from "node:net";
import { setTimeout as sleep } from "node:timers/promises";
import { AgentError } from "../../errors.ts";

const SEED_BYTES = 64;
/** The guest says nothing longer. */
const WORD_BYTES_MAX = 256;
/** Milliseconds between two tries to reach a socket that QEMU has not made yet. */
const RETRY_MS = 20;

export interface LineOptions {
  readonly socket: string;
  readonly timeoutMs: number;
  readonly signal: AbortSignal;
}

/** Resolves when the machine says that it waits to be saved. Throws E_DEADLINE, E_DOMAIN. */
export async function awaitReady(options: LineOptions): Promise<void> {
  await talk(options, async (words) => {
    const word = await words.next();
    if (word.value !== "spare 1") throw spoilt(word.value);
  });
}

/**
 * Tells a clone who it is, seeds its generator and sets its clock; answers the sample that vm-personalise took of the
 * generator before. Throws E_DEADLINE when it does not confirm in time, E_DOMAIN when it says something else.
 */
export async function personalise(
  options: LineOptions,
  facts: readonly (readonly [string, string])[],
): Promise<string> {
  return await talk(options, async (words, socket) => {
    const seed = randomBytes(SEED_BYTES).toString("hex");
    const lines = [`seed ${seed}`, ...facts.map(([name, value]) => `fact ${name} ${value}`), "end"];
    socket.write(`${lines.join("\n")}\n`);
    for (;;) {
      const { value: word } = await words.next();
      if (word === "clock?") socket.write(`clock ${clock(Date.now())}\n`);
      else if (/^personal [0-9a-f]{32}$/.test(word ?? "")) return (word ?? "").slice(9);
      else throw spoilt(word);
    }
  });
}

/** Seconds and nanoseconds. */
function clock(nowMs: number): string {
  return `${Math.floor(nowMs / 1000)} ${(nowMs % 1000) * 1_000_000}`;
}

async function talk<T>(
  { socket: path, timeoutMs, signal }: LineOptions,
  use: (words: AsyncGenerator<string, undefined>, socket: Socket) => Promise<T>,
): Promise<T> {
  const deadline = AbortSignal.timeout(timeoutMs);
  const either = AbortSignal.any([signal, deadline]);
  let socket: Socket | undefined;
  const stop = (): void => void socket?.destroy();
  either.addEventListener("abort", stop, { once: true });
  try {
    socket = await reach(path, either);
    // It may have come while there was no socket yet that could be destroyed.
    either.throwIfAborted();
    return await use(wordsOf(socket), socket);
  } catch (error) {
    signal.throwIfAborted();
    if (!deadline.aborted) throw error;
    const message = `The machine was silent on its line for ${timeoutMs} ms; see its console log.`;
    throw new AgentError("E_DEADLINE", message, error);
  } finally {
    either.removeEventListener("abort", stop);
    socket?.destroy();
  }
}

/** QEMU makes the socket while it starts. */
async function reach(path: string, signal: AbortSignal): Promise<Socket> {
  for (;;) {
    signal.throwIfAborted();
    try {
      return await new Promise<Socket>((resolve, reject) => {
        const socket = connect(path);
        socket.once("error", reject);
        socket.once("connect", () => {
          socket.off("error", reject);
          // Told to the reader by the end of the stream.
          socket.on("error", () => undefined);
          resolve(socket);
        });
      });
    } catch {
      await sleep(RETRY_MS, undefined, { signal });
    }
  }
}

/** Ends where the guest does, whatever the socket says of it. */
async function* wordsOf(socket: Socket): AsyncGenerator<string, undefined> {
  let pending = "";
  try {
    for await (const chunk of socket as AsyncIterable<Buffer>) {
      pending += chunk.toString("latin1");
      for (let end = pending.indexOf("\n"); end !== -1; end = pending.indexOf("\n")) {
        yield pending.slice(0, end);
        pending = pending.slice(end + 1);
      }
      if (pending.length > WORD_BYTES_MAX) return undefined;
    }
  } catch {
    // Nothing more is to come, and that is all that there is to know.
  }
  return undefined;
}

function spoilt(word: string | undefined): AgentError {
  const heard = word === undefined ? "nothing more" : JSON.stringify(word.slice(0, 40));
  return new AgentError("E_DOMAIN", `The machine said ${heard} on its line; see its console log.`);
}
