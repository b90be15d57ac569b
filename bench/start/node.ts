/** The node that domains are started on: a testbed of one, without an agent, and the worker on it. */
import { spawn } from "node:child_process";
import type { ChildProcess } from "node:child_process";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { commandAt, down, list, up } from "@version-manager/testbed";
import { createImageStore } from "@version-manager/upgrade-agent";
import type { Answer, Work } from "./contract.ts";

/** Of the testbed; the process that made it follows. */
const PREFIX = "itbstart";
const TESTBED = `${PREFIX}${process.pid}`;
const WORKER = join(import.meta.dirname, "worker.js");

export class Node {
  readonly #child: ChildProcess;
  readonly #lines: AsyncIterator<string>;
  /** Of the image that every disk is made of. */
  readonly imageBytes: number;

  private constructor(child: ChildProcess, lines: AsyncIterator<string>, imageBytes: number) {
    this.#child = child;
    this.#lines = lines;
    this.imageBytes = imageBytes;
  }

  /** Removes what killed benches have left first. Whatever goes wrong, nothing is left. */
  static async open(signal: AbortSignal, say: (line: string) => void): Promise<Node> {
    const directories = {
      cacheDirectory: "/var/cache/version-manager/images",
      stateDirectory: "/nonexistent",
    };
    await createImageStore(directories).build({ onProgress: say, signal });
    for (const name of list().filter(isAbandoned)) await down({ name });
    try {
      say("one node with libvirt and a router");
      await up({ name: TESTBED, nodes: 1, commands: { agent: ["sleep", "infinity"] }, signal });
      const command = await commandAt({ name: TESTBED, node: 1 }, [process.execPath, WORKER]);
      const [file, ...words] = command;
      // In a session of its own: an interruption reaches us, and we end it.
      const child = spawn(file, words, { stdio: ["pipe", "pipe", "inherit"], detached: true });
      const lines = createInterface({ input: child.stdout })[Symbol.asyncIterator]();
      const ready = await answerOf(lines, signal);
      if (ready.kind !== "ready") throw new Error("The worker answered before it was asked.");
      return new Node(child, lines, ready.imageBytes);
    } catch (error) {
      await down({ name: TESTBED });
      throw error;
    }
  }

  /** Throws what the worker says went wrong. */
  async perform(work: Work, signal: AbortSignal): Promise<Extract<Answer, { ok: true }>> {
    this.#child.stdin?.write(`${JSON.stringify(work)}\n`);
    return await answerOf(this.#lines, signal);
  }

  /** Ends the worker with all of its domains. */
  async close(): Promise<void> {
    await down({ name: TESTBED });
  }
}

/** A testbed of a bench that was killed. */
function isAbandoned(name: string): boolean {
  const pid = new RegExp(`^${PREFIX}(\\d+)$`).exec(name)?.[1];
  if (pid === undefined) return false;
  try {
    process.kill(Number(pid), 0);
    return false;
  } catch {
    return true;
  }
}

async function answerOf(
  lines: AsyncIterator<string>,
  signal: AbortSignal,
): Promise<Extract<Answer, { ok: true }>> {
  signal.throwIfAborted();
  const listening = new AbortController();
  const aborted = new Promise<never>((_, reject) => {
    const stop = (): void => reject(signal.reason as Error);
    signal.addEventListener("abort", stop, { signal: listening.signal });
  });
  try {
    const { value, done } = await Promise.race([lines.next(), aborted]);
    if (done === true) throw new Error("The worker on the node ended; what it said is above.");
    const answer = JSON.parse(value) as Answer;
    if (!answer.ok) throw new Error(answer.message);
    return answer;
  } finally {
    listening.abort();
  }
}
