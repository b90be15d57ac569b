/** One proxy process: started or found, watched, ended. What to do when it dies is decided by `service-proxy.ts`. */
import { spawn } from "node:child_process";
import {
  chmodSync,
  closeSync,
  openSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  truncateSync,
} from "node:fs";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { HOST_ENVIRONMENT } from "@version-manager/app-proxy/host";
import type { Launch, VersionEndpoints } from "@version-manager/app-proxy/host";
import type { PortSpec } from "@version-manager/version-router";
import { AgentError } from "../errors.ts";
import { checkReadable, nodeArguments, proxyUser } from "./command.ts";
import { ProxyControl } from "./control-client.ts";
import type { Listeners } from "./listeners.ts";
import { isAlive, signal, startTimeOf, type ProcessIdentity } from "./process-identity.ts";
import { controlPath, readRecord, writeRecord, type ProxyRecord } from "./record.ts";
import { listenUnix } from "./sockets.ts";

export interface ProxyPlace {
  readonly service: string;
  readonly runDirectory: string;
  readonly logDirectory: string;
}

export interface StartRequest {
  readonly modulePath: string;
  readonly address: string;
  readonly ports: readonly PortSpec[];
  readonly listeners: Listeners;
  readonly versions: readonly VersionEndpoints[];
  readonly memoryMiB: number;
  readonly startTimeoutMs: number;
  /** Versions that are kept out from the start. */
  readonly quarantined: readonly number[];
}

/** Descriptors 0…2 are nothing, log, log. */
const CONTROL_FD = 3;
/** How soon an answer must come from a process that an earlier agent left; it may just be busy. */
const ADOPT_TIMEOUT_MS = 15_000;
const LOG_BYTES_MAX = 64 * 1024 * 1024;
const WATCH_AGAIN_MS = 50;

export class ProxyProcess {
  readonly record: ProxyRecord;
  readonly #place: ProxyPlace;
  readonly #controlPath: string;
  #control: ProxyControl;

  private constructor(place: ProxyPlace, record: ProxyRecord) {
    this.record = record;
    this.#place = place;
    this.#controlPath = controlPath(place.runDirectory, place.service);
    this.#control = new ProxyControl(this.#controlPath);
  }

  get control(): ProxyControl {
    return this.#control;
  }

  /** The process that an earlier agent left, if it is alive and answers; ended if it is alive and does not. */
  static async find(place: ProxyPlace): Promise<ProxyProcess | undefined> {
    const record = readRecord(place.runDirectory, place.service);
    if (record === undefined || !isAlive(record)) return undefined;
    const found = new ProxyProcess(place, record);
    try {
      await found.control.status(ADOPT_TIMEOUT_MS);
      return found;
    } catch {
      await found.kill();
      return undefined;
    }
  }

  /** Resolves when it serves. Throws E_PROXY with the end of its log when it does not within `startTimeoutMs`. */
  static async start(place: ProxyPlace, request: StartRequest): Promise<ProxyProcess> {
    const user = proxyUser();
    checkReadable(request.modulePath, user);
    const listeners = request.ports.map((port, index) => ({ port, fd: CONTROL_FD + 1 + index }));
    const launch: Launch = {
      service: place.service,
      module: request.modulePath,
      control: { fd: CONTROL_FD },
      listen: listeners,
      versions: request.versions,
      quarantined: request.quarantined,
      ...(user === undefined ? {} : { user }),
    };
    const descriptors = request.ports.map((port) => request.listeners.descriptorOf(port));
    const identity = spawnDetached(place, nodeArguments(launch, request.memoryMiB), descriptors);
    const { modulePath, address } = request;
    const started = new ProxyProcess(place, { ...identity, modulePath, address, listeners });
    writeRecord(place.runDirectory, place.service, started.record);
    try {
      await started.control.status(request.startTimeoutMs);
      return started;
    } catch (error) {
      await started.kill();
      throw new AgentError(
        "E_PROXY",
        `The proxy of ${place.service} did not start: ${tailOf(logPath(place))}`,
        error,
      );
    }
  }

  get alive(): boolean {
    return isAlive(this.record);
  }

  /** Calls back once when the process is gone. The returned function ends the watch. */
  watch(gone: () => void): () => void {
    let cancel = this.control.watch(() => look(WATCH_AGAIN_MS));
    const look = (againMs: number): void => {
      if (!this.alive) return gone();
      // Just dying, or it closed the connection: look again, less and less often.
      const timer = setTimeout(() => {
        if (!this.alive) return gone();
        cancel = this.control.watch(() => look(Math.min(againMs * 2, 2_000)));
      }, againMs);
      cancel = () => clearTimeout(timer);
    };
    return () => cancel();
  }

  /** Makes room for the control socket of the process that replaces this one; the returned function takes it back. */
  setAside(): () => void {
    const aside = `${this.#controlPath}.old`;
    renameSync(this.#controlPath, aside);
    this.#control = new ProxyControl(aside);
    return () => {
      renameSync(aside, this.#controlPath);
      this.#control = new ProxyControl(this.#controlPath);
      writeRecord(this.#place.runDirectory, this.#place.service, this.record);
    };
  }

  /** After `setAside`, when the process is gone. */
  discardControl(): void {
    rmSync(`${this.#controlPath}.old`, { force: true });
  }

  /** The log does not grow without bound, whatever the module writes. */
  trimLog(): void {
    const path = logPath(this.#place);
    if ((statSync(path, { throwIfNoEntry: false })?.size ?? 0) > LOG_BYTES_MAX) truncateSync(path);
  }

  async waitForEnd(timeoutMs: number): Promise<boolean> {
    for (let waitedMs = 0; this.alive; waitedMs += 20) {
      if (waitedMs >= timeoutMs) return false;
      await sleep(20);
    }
    return true;
  }

  async terminate(timeoutMs: number): Promise<void> {
    signal(this.record, "SIGTERM");
    if (!(await this.waitForEnd(timeoutMs))) await this.kill();
  }

  async kill(): Promise<void> {
    signal(this.record, "SIGKILL");
    await this.waitForEnd(10_000);
  }
}

function spawnDetached(
  place: ProxyPlace,
  args: readonly string[],
  listeners: readonly number[],
): ProcessIdentity {
  const path = controlPath(place.runDirectory, place.service);
  rmSync(path, { force: true });
  const control = listenUnix(path);
  chmodSync(path, 0o600);
  const log = openSync(logPath(place), "a", 0o640);
  try {
    // A session of its own, and nothing shared that could end it: the proxy goes on when the agent dies.
    const child = spawn(process.execPath, args, {
      stdio: ["ignore", log, log, control, ...listeners],
      detached: true,
      cwd: "/",
      env: HOST_ENVIRONMENT,
    });
    // What goes wrong shows in `pid`, or in the log.
    child.on("error", () => undefined);
    child.unref();
    const startTime = child.pid === undefined ? undefined : startTimeOf(child.pid);
    if (child.pid === undefined || startTime === undefined) {
      throw new AgentError(
        "E_PROXY",
        `The proxy of ${place.service} did not start: ${tailOf(logPath(place))}`,
      );
    }
    return { pid: child.pid, startTime };
  } finally {
    // The process alone has the control socket: it refuses as soon as the process is gone.
    closeSync(control);
    closeSync(log);
  }
}

function logPath(place: ProxyPlace): string {
  return join(place.logDirectory, `proxy-${place.service}.log`);
}

function tailOf(path: string): string {
  const lines = readFileSync(path, "utf8").slice(-4096).trimEnd().split("\n");
  const fatal = lines.findLast((line) => line.includes(" fatal: "));
  return `${fatal ?? lines.at(-1) ?? "no output"} (${path})`;
}
