/**
 * One service of a node, kept running as systemd would with `Restart=always` and `KillMode=process`: what it started
 * itself lives on when it dies.
 */
import { spawn } from "node:child_process";
import type { ChildProcess } from "node:child_process";
import { closeSync, openSync } from "node:fs";
import { connect } from "node:net";
import { join } from "node:path";
import type { ServiceConfig, ServiceStatus } from "./contract.ts";
import { nextDelayMs } from "./restart.ts";

/** A service that offers no socket counts as ready when it has run this long, ms: most faults at start show by then. */
const SETTLED_MS = 300;

export class Service {
  readonly #config: ServiceConfig;
  readonly #logFile: string;
  #child: ChildProcess | undefined;
  #timer: NodeJS.Timeout | undefined;
  #held = false;
  #startedAtMs = 0;
  #delayMs = 0;
  #restarts = 0;
  #lastExit: string | undefined;

  constructor(config: ServiceConfig, logDirectory: string) {
    this.#config = config;
    this.#logFile = join(logDirectory, `${config.name}.log`);
  }

  get name(): string {
    return this.#config.name;
  }

  get pid(): number | undefined {
    return this.#child?.pid;
  }

  start(): void {
    if (this.#child !== undefined) return;
    clearTimeout(this.#timer);
    this.#timer = undefined;
    const [file = "", ...args] = this.#config.command;
    const log = openSync(this.#logFile, "a");
    // Detached: a session of its own, so that no signal to a group reaches more than one service.
    const child = spawn(file, args, { stdio: ["ignore", log, log], detached: true, cwd: "/" });
    closeSync(log);
    const startedAtMs = performance.now();
    this.#startedAtMs = startedAtMs;
    let ended = false;
    const end = (how: string): void => {
      if (ended) return;
      ended = true;
      this.#child = undefined;
      this.#lastExit = how;
      if (!this.#held) this.#restartLater(performance.now() - startedAtMs);
    };
    child.once("error", (error) => end(error.message));
    child.once("exit", (code, signal) => end(signal ?? `exit ${code}`));
    this.#child = child;
  }

  #restartLater(ranMs: number): void {
    this.#delayMs = nextDelayMs(this.#delayMs, ranMs);
    this.#restarts += 1;
    this.#timer = setTimeout(() => this.start(), this.#delayMs);
  }

  /** Only the process itself, never its group. Returns its PID, or undefined when it does not run. */
  kill(signal: NodeJS.Signals): number | undefined {
    const pid = this.#child?.pid;
    this.#child?.kill(signal);
    return pid;
  }

  /** Held services are terminated and stay down until they are released. */
  hold(held: boolean): void {
    this.#held = held;
    if (!held) return this.start();
    clearTimeout(this.#timer);
    this.#timer = undefined;
    this.kill("SIGTERM");
  }

  #settled(): boolean {
    return performance.now() - this.#startedAtMs >= SETTLED_MS;
  }

  async status(): Promise<ServiceStatus> {
    const running = this.#child?.pid !== undefined;
    const socket = this.#config.readySocket;
    return {
      name: this.name,
      state: running ? "running" : this.#held ? "held" : "waiting",
      ready: running && (socket === undefined ? this.#settled() : await accepts(socket)),
      ...(running ? { pid: this.#child?.pid as number } : {}),
      restarts: this.#restarts,
      ...(this.#lastExit === undefined ? {} : { lastExit: this.#lastExit }),
    };
  }
}

/** Whether someone listens on the unix socket. */
export function accepts(path: string): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect(path);
    socket.once("connect", () => {
      socket.destroy();
      resolve(true);
    });
    socket.once("error", () => resolve(false));
  });
}
