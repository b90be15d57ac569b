/** The clients: the example's load program, run in the testbed's client namespace and steered over its pipes. */
import { spawn, type ChildProcessByStdio } from "node:child_process";
import { once } from "node:events";
import { createInterface } from "node:readline";
import type { Readable, Writable } from "node:stream";
import { fileURLToPath } from "node:url";
import { commandAt } from "@version-manager/testbed";

/** What the load program prints; see examples/load/tally.ts. */
export interface LoadFacts {
  readonly type: "progress" | "summary" | "verification" | "error";
  readonly requests: number;
  readonly failed: number;
  readonly [fact: string]: unknown;
}

/** A deadline, and few clients at a time, fit for six emulated machines that share two cores. */
const habits = ["--timeout-ms", "30000", "--workers", "5", "--interactive"];

const program = fileURLToPath(import.meta.resolve("@version-manager/examples/load/main"));

export class ClientLoad {
  readonly #child: ChildProcessByStdio<Writable, Readable, null>;
  readonly #waiting: { readonly type: string; readonly resolve: (facts: LoadFacts) => void }[] = [];
  #last: LoadFacts | undefined;

  private constructor(child: ChildProcessByStdio<Writable, Readable, null>) {
    this.#child = child;
    createInterface({ input: child.stdout }).on("line", (line) => this.#hear(JSON.parse(line) as LoadFacts));
  }

  static async start(testbed: string, urls: readonly string[], rate: number): Promise<ClientLoad> {
    const words = [...urls.flatMap((url) => ["--url", url]), "--rate", String(rate), ...habits];
    const command = await commandAt({ name: testbed, node: "client" }, [process.execPath, program, ...words]);
    const [file, ...rest] = command;
    return new ClientLoad(spawn(file, rest, { stdio: ["pipe", "pipe", "inherit"] }));
  }

  /** The newest figures. */
  get last(): LoadFacts | undefined {
    return this.#last;
  }

  /** Ends the load; the acknowledged writes are kept for `verify`. */
  stop(): Promise<LoadFacts> {
    return this.#ask("stop", "summary");
  }

  /** Reads every acknowledged write back from one node. */
  verify(url: string): Promise<LoadFacts> {
    return this.#ask(`verify ${url}`, "verification");
  }

  async close(): Promise<void> {
    if (this.#child.exitCode !== null) return;
    this.#child.stdin.end("quit\n");
    await Promise.race([once(this.#child, "exit"), new Promise((resolve) => setTimeout(resolve, 5_000))]);
    this.#child.kill("SIGKILL");
  }

  #hear(facts: LoadFacts): void {
    if (facts.type === "progress") this.#last = facts["total"] as LoadFacts;
    const index = this.#waiting.findIndex((waiting) => waiting.type === facts.type);
    if (index >= 0) this.#waiting.splice(index, 1)[0]?.resolve(facts);
  }

  #ask(line: string, type: LoadFacts["type"]): Promise<LoadFacts> {
    return new Promise((resolve, reject) => {
      if (this.#child.exitCode !== null) {
        reject(new Error("The load program has ended early; its last words are above."));
        return;
      }
      this.#waiting.push({ type, resolve });
      this.#child.once("exit", () => reject(new Error("The load program ended without an answer.")));
      this.#child.stdin.write(`${line}\n`);
    });
  }
}
