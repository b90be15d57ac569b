/** A proxy process under watch: its end is noticed, and it is killed when it hangs. */
import type { ProxyProcess } from "./process.ts";

export interface WatchOptions {
  readonly aliveIntervalMs: number;
  readonly aliveTimeoutMs: number;
  /** Called once, unless the watch was ended before. */
  readonly gone: (ranMs: number) => void;
  readonly log: (line: string) => void;
}

export class WatchedProcess {
  readonly process: ProxyProcess;
  readonly #options: WatchOptions;
  readonly #sinceMs = performance.now();
  readonly #unwatch: () => void;
  readonly #timer: NodeJS.Timeout;
  #ended = false;

  constructor(process: ProxyProcess, options: WatchOptions) {
    this.process = process;
    this.#options = options;
    this.#unwatch = process.watch(() => this.#gone());
    this.#timer = setInterval(() => void this.#check(), options.aliveIntervalMs);
    this.#timer.unref();
  }

  end(): void {
    this.#ended = true;
    clearInterval(this.#timer);
    this.#unwatch();
  }

  #gone(): void {
    if (this.#ended) return;
    this.end();
    this.#options.gone(performance.now() - this.#sinceMs);
  }

  async #check(): Promise<void> {
    this.process.trimLog();
    try {
      await this.process.control.status(this.#options.aliveTimeoutMs);
    } catch (error) {
      if (this.#ended || !this.process.alive) return;
      this.#options.log(`proxy ${this.process.record.pid} hangs and is killed: ${String(error)}`);
      await this.process.kill();
    }
  }
}
