/** The proxy of one service, kept running: found or started, restarted when it dies, replaced, ended. */
import type { PortSpec } from "@version-manager/version-router";
import { AgentError } from "../errors.ts";
import { afterCrash, steady, type BackOff } from "./back-off.ts";
import type { ComparisonReport } from "@version-manager/app-proxy/compare";
import type { ProxyRequest } from "./contract.ts";
import type { ProxyStatus } from "./control-client.ts";
import { Listeners } from "./listeners.ts";
import type { ProxyNews } from "./news.ts";
import { ProxyProcess, type ProxyPlace, type StartRequest } from "./process.ts";
import { removeRecord } from "./record.ts";
import type { SupervisionLimits } from "./limits.ts";
import { WatchedProcess } from "./watched-process.ts";

export interface ServiceProxyOptions extends ProxyPlace {
  readonly limits: SupervisionLimits;
  readonly log: (line: string) => void;
}

/** SIGTERM lets clients come to a message boundary for ten seconds. */
const TERMINATE_MS = 15_000;

export class ServiceProxy {
  readonly #options: ServiceProxyOptions;
  #wanted: ProxyRequest | undefined;
  #listeners: Listeners | undefined;
  #running: WatchedProcess | undefined;
  #backOff: BackOff = steady;
  #restart: NodeJS.Timeout | undefined;
  #keptOut: readonly number[] = [];
  /** Calls of one service run one after the other. */
  #turn: Promise<unknown> = Promise.resolve();

  constructor(options: ServiceProxyOptions) {
    this.#options = options;
  }

  /** It runs, or is being restarted. */
  get wanted(): boolean {
    return this.#wanted !== undefined;
  }

  ensure(request: ProxyRequest): Promise<void> {
    return this.#inTurn(() => this.#ensure(request));
  }

  drainAndStop(deadlineMs: number): Promise<number> {
    return this.#inTurn(async () => {
      const process = await this.#release();
      if (process === undefined) return 0;
      const remaining = await process.control.drainAndExit(deadlineMs).catch((error: unknown) => {
        // It died or hangs: its connections end with it.
        this.#options.log(`${this.#options.service}: ${(error as Error).message}`);
        return 0;
      });
      if (!(await process.waitForEnd(5_000))) await process.kill();
      removeRecord(this.#options.runDirectory, this.#options.service);
      return remaining;
    });
  }

  stop(): Promise<void> {
    return this.#inTurn(async () => {
      await (await this.#release())?.terminate(TERMINATE_MS);
      removeRecord(this.#options.runDirectory, this.#options.service);
    });
  }

  async status(): Promise<ProxyStatus | undefined> {
    if (this.#running?.process.alive !== true) return undefined;
    return this.#running.process.control.status(this.#options.limits.aliveTimeoutMs);
  }

  keepOut(versions: readonly number[]): void {
    this.#keptOut = versions;
  }

  async news(
    since: { readonly process: string; readonly after: number },
    { waitMs, signal }: { readonly waitMs: number; readonly signal: AbortSignal },
  ): Promise<ProxyNews | undefined> {
    const running = this.#alive();
    if (running === undefined) return undefined;
    const { pid, startTime } = running.record;
    const process = `${pid} ${startTime}`;
    const after = since.process === process ? since.after : 0;
    return { process, events: await running.control.events(after, waitMs, signal) };
  }

  async readmit(version: number): Promise<boolean> {
    return (await this.#alive()?.control.readmit(version, this.#options.limits.aliveTimeoutMs)) ?? false;
  }

  async comparisons(): Promise<readonly ComparisonReport[] | undefined> {
    return this.#alive()?.control.comparisons(this.#options.limits.aliveTimeoutMs);
  }

  #alive(): ProxyProcess | undefined {
    const process = this.#running?.process;
    return process?.alive === true ? process : undefined;
  }

  /** Ends the supervision; the process goes on. */
  close(): void {
    this.#forget();
    this.#listeners?.closeAll();
    this.#listeners = undefined;
    this.#wanted = undefined;
  }

  async #ensure(request: ProxyRequest): Promise<void> {
    const { limits, service } = this.#options;
    const ports = request.listen;
    clearTimeout(this.#restart);
    await this.#adopt();
    const current = this.#running?.process;
    if (current?.alive === true && serves(current, request, ports)) {
      // From now on also what a restart would serve.
      this.#wanted = request;
      if (await current.control.setVersions(request.versions, limits.settleTimeoutMs)) return;
      const seconds = limits.settleTimeoutMs / 1000;
      throw new AgentError(
        "E_DEADLINE",
        `Requests through the proxy of ${service} did not end in ${seconds} s; retry.`,
      );
    }
    if (current?.alive === true) await this.#replace(current, request, ports);
    else await this.#startFresh(request, ports);
  }

  /** Takes over a process that an earlier agent left. */
  async #adopt(): Promise<void> {
    if (this.#running !== undefined) return;
    const { log, service } = this.#options;
    const found = await ProxyProcess.find(this.#options);
    if (found === undefined) return;
    const { address, listeners, pid } = found.record;
    this.#listeners ??= new Listeners(address);
    const missing = this.#listeners.copyFrom(pid, listeners);
    log(`${service}: proxy ${pid} found running`);
    if (missing.length > 0)
      log(`${service}: no copy of port ${missing.join(", ")}; a crash would refuse clients`);
    this.#supervise(found);
  }

  async #startFresh(request: ProxyRequest, ports: readonly PortSpec[]): Promise<void> {
    this.#forget();
    const listeners = this.#listeners ?? new Listeners(request.address);
    listeners.open(ports);
    this.#listeners = listeners;
    try {
      this.#supervise(await ProxyProcess.start(this.#options, this.#startRequest(request, ports)));
      this.#wanted = request;
    } catch (error) {
      if (this.#wanted !== undefined) {
        // It was served before: what was wanted then is tried on, and clients wait for it.
        this.#again(0);
        throw error;
      }
      listeners.closeAll();
      this.#listeners = undefined;
      removeRecord(this.#options.runDirectory, this.#options.service);
      throw error;
    }
  }

  #startRequest(request: ProxyRequest, ports: readonly PortSpec[]): StartRequest {
    const { memoryMiB, startTimeoutMs } = this.#options.limits;
    const { modulePath, address, versions } = request;
    return {
      modulePath,
      address,
      versions,
      ports,
      memoryMiB,
      startTimeoutMs,
      quarantined: this.#keptOut,
      listeners: this.#listeners as Listeners,
    };
  }

  /** The new process accepts on the same sockets before the old one stops; then the old one brings its clients to an end. */
  async #replace(old: ProxyProcess, request: ProxyRequest, ports: readonly PortSpec[]): Promise<void> {
    const { limits, log, service } = this.#options;
    if (old.record.address !== request.address) {
      await (await this.#release())?.terminate(TERMINATE_MS);
      return this.#startFresh(request, ports);
    }
    const listeners = this.#listeners ?? new Listeners(request.address);
    listeners.open(ports);
    this.#listeners = listeners;
    this.#forget();
    const restore = old.setAside();
    try {
      this.#supervise(await ProxyProcess.start(this.#options, this.#startRequest(request, ports)));
    } catch (error) {
      restore();
      this.#supervise(old);
      throw error;
    }
    this.#wanted = request;
    listeners.closeAllBut(ports);
    log(`${service}: proxy ${old.record.pid} is replaced by ${this.#running?.process.record.pid}`);
    const cut = await old.control
      .drainAndExit(limits.settleTimeoutMs, {
        handedOver: old.record.listeners.some(({ port }) => port.startsWith("udp/")),
      })
      .catch(() => 0);
    if (cut > 0) log(`${service}: ${cut} connections of the replaced proxy were cut`);
    if (!(await old.waitForEnd(5_000))) await old.kill();
    old.discardControl();
  }

  /** Ends the supervision and gives up the sockets, so that they close when the process closes them. */
  async #release(): Promise<ProxyProcess | undefined> {
    clearTimeout(this.#restart);
    await this.#adopt();
    const process = this.#running?.process;
    this.close();
    return process?.alive === true ? process : undefined;
  }

  #supervise(process: ProxyProcess): void {
    const { limits, log, service } = this.#options;
    log(`${service}: supervising proxy ${process.record.pid}`);
    const watched: WatchedProcess = new WatchedProcess(process, {
      aliveIntervalMs: limits.aliveIntervalMs,
      aliveTimeoutMs: limits.aliveTimeoutMs,
      log: (line) => log(`${service}: ${line}`),
      gone: (ranMs) => void this.#inTurn(() => this.#gone(watched, ranMs)),
    });
    this.#running = watched;
  }

  #forget(): void {
    clearTimeout(this.#restart);
    this.#running?.end();
    this.#running = undefined;
  }

  async #gone(watched: WatchedProcess, ranMs: number): Promise<void> {
    if (this.#running !== watched) return;
    this.#forget();
    this.#again(ranMs);
  }

  #again(ranMs: number): void {
    const { next, delayMs } = afterCrash(this.#backOff, ranMs);
    this.#backOff = next;
    this.#options.log(
      `${this.#options.service}: proxy died after ${Math.round(ranMs)} ms; next start in ${delayMs} ms`,
    );
    this.#restart = setTimeout(() => void this.#inTurn(() => this.#startAgain()), delayMs);
  }

  async #startAgain(): Promise<void> {
    const request = this.#wanted;
    if (request === undefined || this.#running !== undefined) return;
    const startedMs = performance.now();
    try {
      const ports = request.listen;
      const listeners = this.#listeners ?? new Listeners(request.address);
      listeners.open(ports);
      this.#listeners = listeners;
      this.#supervise(await ProxyProcess.start(this.#options, this.#startRequest(request, ports)));
    } catch (error) {
      this.#options.log(`${this.#options.service}: ${(error as Error).message}`);
      this.#again(performance.now() - startedMs);
    }
  }

  #inTurn<Result>(work: () => Promise<Result>): Promise<Result> {
    const result = this.#turn.then(work);
    this.#turn = result.catch(() => undefined);
    return result;
  }
}

function serves(process: ProxyProcess, request: ProxyRequest, ports: readonly PortSpec[]): boolean {
  const { modulePath, address, listeners } = process.record;
  const same = listeners.length === ports.length && listeners.every(({ port }) => ports.includes(port));
  return same && modulePath === request.modulePath && address === request.address;
}
