/** Programs of other people in network namespaces: to their end, or until the test is over. */
import { execFile, spawn } from "node:child_process";
import type { ChildProcess } from "node:child_process";
import { setTimeout as sleep } from "node:timers/promises";

const LIMIT_MS = 60_000;
const LISTENING_TRIES = 200;
const POLL_MS = 50;

/** Standard output. Throws with the program's words when it fails. */
export function runIn(namespace: string, ...command: string[]): Promise<string> {
  return new Promise((resolve, reject) => {
    const words = [`--net=/run/netns/${namespace}`, ...command];
    const options = { timeout: LIMIT_MS, maxBuffer: 64 << 20 };
    execFile("nsenter", words, options, (error, out, err) => {
      if (error === null) resolve(out);
      else reject(new Error(`${command.join(" ")}: ${err.trim() || out.trim() || error.message}`));
    });
  });
}

/** A server; whatever it says is kept. */
export class Running {
  readonly #child: ChildProcess;
  /** Its end, and that of everything it had to say: the two need not come together. */
  readonly #closed: Promise<unknown>;
  #output = "";

  private constructor(child: ChildProcess) {
    this.#child = child;
    this.#closed = new Promise((resolve) => child.once("close", resolve));
    for (const stream of [child.stdout, child.stderr])
      stream?.on("data", (text: Buffer) => (this.#output += text.toString()));
  }

  /** Resolves when it listens at that port. */
  static async server(
    namespace: string,
    protocol: "tcp" | "udp",
    port: number,
    ...command: string[]
  ): Promise<Running> {
    const running = Running.start(namespace, ...command);
    for (let tries = 0; tries < LISTENING_TRIES; tries += 1) {
      const words = ["ss", "-Hln", `--${protocol}`, "sport", "=", `:${port}`];
      if ((await runIn(namespace, ...words)).trim() !== "") return running;
      await sleep(POLL_MS);
    }
    await running.kill();
    throw new Error(`${command.join(" ")} does not listen: ${running.output}`);
  }

  static start(namespace: string, ...command: string[]): Running {
    const words = [`--net=/run/netns/${namespace}`, ...command];
    return new Running(spawn("nsenter", words, { stdio: ["pipe", "pipe", "pipe"] }));
  }

  get output(): string {
    return this.#output;
  }

  /** What it has said once that fits. Throws when it does not in time. */
  async says(wanted: RegExp): Promise<RegExpExecArray> {
    for (let tries = 0; tries < LISTENING_TRIES; tries += 1) {
      const found = wanted.exec(this.#output);
      if (found !== null) return found;
      await sleep(POLL_MS);
    }
    throw new Error(`nothing like ${wanted} in: ${this.#output}`);
  }

  /** Ends its input and waits for its own end. */
  async end(): Promise<void> {
    this.#child.stdin?.end();
    await this.#closed;
  }

  async kill(): Promise<void> {
    this.#child.kill("SIGKILL");
    await this.#closed;
  }
}
