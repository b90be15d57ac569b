/** The load program in the testbed's client namespace, steered over its pipes. */
import { spawn, type ChildProcessByStdio } from "node:child_process";
import { once } from "node:events";
import { readFileSync } from "node:fs";
import { createInterface } from "node:readline";
import type { Readable, Writable } from "node:stream";
import { setTimeout as sleep } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import { commandAt } from "@version-manager/testbed";
import type { Operation } from "../../linearizability/history.ts";
import type { Figures } from "../../registers/load/journal.ts";
import type { ReadBack } from "../../registers/load/load.ts";

const program = fileURLToPath(new URL("../../registers/load/main.ts", import.meta.url));

export type ByService<Facts> = Readonly<Record<string, Facts>>;

interface Line {
  readonly type: string;
  readonly services: ByService<Figures & ReadBack>;
}

export class Clients {
  readonly #child: ChildProcessByStdio<Writable, Readable, null>;
  readonly #waiting: ((line: Line) => boolean)[] = [];
  #figures: ByService<Figures> = {};

  private constructor(child: ChildProcessByStdio<Writable, Readable, null>) {
    this.#child = child;
    createInterface({ input: child.stdout }).on("line", (text) => {
      const line = JSON.parse(text) as Line;
      this.#figures = line.services;
      const index = this.#waiting.findIndex((takes) => takes(line));
      if (index >= 0) this.#waiting.splice(index, 1);
    });
  }

  /** `services`: words for `--service`; `habits`: further words. */
  static async start(
    testbed: string,
    services: readonly string[],
    rate: number,
    habits: readonly string[] = [],
  ): Promise<Clients> {
    const words = [
      ...services.flatMap((service) => ["--service", service]),
      "--rate",
      String(rate),
      ...habits,
    ];
    const command = [process.execPath, program, ...words];
    const [file, ...rest] = await commandAt({ name: testbed, node: "client" }, command);
    return new Clients(spawn(file, rest, { stdio: ["pipe", "pipe", "inherit"] }));
  }

  /** Of the last second. */
  get figures(): ByService<Figures> {
    return this.#figures;
  }

  /** Waits until every service had so many requests more than now. */
  async more(requests: number): Promise<void> {
    await this.atLeast(
      Object.fromEntries(
        Object.entries(this.#figures).map(([name, figures]) => [name, figures.requests + requests]),
      ),
    );
  }

  async atLeast(requests: number | ByService<number>): Promise<void> {
    const wanted = (name: string): number =>
      typeof requests === "number" ? requests : (requests[name] ?? 0);
    for (let waited = 0; waited < 600; waited += 1) {
      const services = Object.entries(this.#figures);
      if (services.length > 0 && services.every(([name, { answered }]) => answered >= wanted(name))) return;
      if (this.#child.exitCode !== null) throw new Error("the load program ended; its last words are above");
      await sleep(200);
    }
    throw new Error(`the clients do not get on: ${JSON.stringify(this.#figures)}`);
  }

  stop(): Promise<ByService<Figures>> {
    return this.#ask("stop", "summary");
  }

  /** Reads everything back; the history has these reads too. */
  async readBack(file: string): Promise<{ services: ByService<Figures & ReadBack>; history: Operation[] }> {
    const services = await this.#ask(`read ${file}`, "read");
    const lines = readFileSync(file, "utf8").trimEnd().split("\n");
    return { services, history: lines.map((line) => JSON.parse(line) as Operation) };
  }

  async close(): Promise<void> {
    if (this.#child.exitCode !== null || this.#child.signalCode !== null) return;
    this.#child.kill("SIGKILL");
    await once(this.#child, "exit");
  }

  #ask(command: string, type: string): Promise<Line["services"]> {
    return new Promise((resolve, reject) => {
      this.#child.once("exit", () =>
        reject(new Error(`the load program ended without an answer to ${command}`)),
      );
      this.#waiting.push((line) => {
        if (line.type !== type) return false;
        resolve(line.services);
        return true;
      });
      this.#child.stdin.write(`${command}\n`);
    });
  }
}
