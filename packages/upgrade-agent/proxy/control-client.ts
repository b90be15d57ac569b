/** The agent's calls to a proxy process. */
import http from "node:http";
import type { ComparisonReport } from "@version-manager/app-proxy/compare";
import type { ProxyServerStatus, VersionEndpoints } from "@version-manager/app-proxy/host";
import { AgentError } from "../errors.ts";
import { comparisonsOf, eventsOf, type ProxyNews } from "./news.ts";

export interface ProxyStatus extends ProxyServerStatus {
  readonly service: string;
  readonly module: string;
  readonly pid: number;
  readonly uid: number;
  readonly startedAtMs: number;
  readonly memory: {
    readonly rssBytes: number;
    readonly heapUsedBytes: number;
    readonly externalBytes: number;
  };
  /** Per version, for proxies made with the toolkit. */
  readonly perVersion?: Readonly<
    Record<string, { sent: number; replied: number; failed: number; retried: number }>
  >;
}

/** Of an answer, bytes; it comes from a process that runs other people's code. */
const ANSWER_BYTES_MAX = 1024 * 1024;

export class ProxyControl {
  readonly #path: string;

  constructor(path: string) {
    this.#path = path;
  }

  status(timeoutMs: number): Promise<ProxyStatus> {
    return this.#call("GET", "/v1/status", undefined, timeoutMs) as Promise<ProxyStatus>;
  }

  /** Whether every request begun before is over after at most `timeoutMs`. */
  async setVersions(versions: readonly VersionEndpoints[], timeoutMs: number): Promise<boolean> {
    const body = { versions, timeoutMs };
    const { settled } = (await this.#call("PUT", "/v1/versions", body, timeoutMs + 10_000)) as {
      settled: boolean;
    };
    return settled;
  }

  /**
   * The process ends by itself afterwards, also when nobody waits for the answer any more. `handedOver`: another process
   * reads the same UDP sockets.
   */
  async drainAndExit(deadlineMs: number, { handedOver = false } = {}): Promise<number> {
    const body = { deadlineMs, exit: true, ...(handedOver ? { handedOver } : {}) };
    const answer = await this.#call("POST", "/v1/drain", body, deadlineMs + 10_000);
    return (answer as { remaining: number }).remaining;
  }

  /** Events numbered above `after`; waits for the next one up to `waitMs`. */
  async events(after: number, waitMs: number, signal: AbortSignal): Promise<ProxyNews["events"]> {
    const path = `/v1/events?after=${after}&waitMs=${waitMs}`;
    return sense(path, eventsOf, await this.#call("GET", path, undefined, waitMs + 10_000, signal));
  }

  async comparisons(timeoutMs: number): Promise<readonly ComparisonReport[]> {
    const path = "/v1/compare";
    return sense(path, comparisonsOf, await this.#call("GET", path, undefined, timeoutMs));
  }

  /** Whether the version was kept out. */
  async readmit(version: number, timeoutMs: number): Promise<boolean> {
    const answer = await this.#call("POST", "/v1/readmit", { version }, timeoutMs);
    return (answer as { readonly readmitted: boolean }).readmitted;
  }

  /** Calls back once when the process is gone, or cannot be watched any more. The returned function ends the watch. */
  watch(gone: () => void): () => void {
    let ended = false;
    const end = (): void => {
      if (ended) return;
      ended = true;
      gone();
    };
    const request = http.get({ socketPath: this.#path, path: "/v1/watch", agent: false }, (response) => {
      response.on("close", end).on("error", end).resume();
    });
    request.on("error", end).on("socket", (socket) => socket.unref());
    return () => {
      ended = true;
      request.destroy();
    };
  }

  #call(
    method: string,
    path: string,
    body: unknown,
    timeoutMs: number,
    abort?: AbortSignal,
  ): Promise<unknown> {
    return new Promise((resolve, reject) => {
      const fail = (reason: string, cause?: unknown): void =>
        reject(new AgentError("E_PROXY", `The proxy does not answer ${method} ${path}: ${reason}.`, cause));
      const timeout = AbortSignal.timeout(timeoutMs);
      const signal = abort === undefined ? timeout : AbortSignal.any([abort, timeout]);
      const request = http.request(
        { socketPath: this.#path, method, path, agent: false, signal },
        (response) => {
          const chunks: Buffer[] = [];
          let bytes = 0;
          response.on("data", (chunk: Buffer) => {
            bytes += chunk.length;
            if (bytes > ANSWER_BYTES_MAX) response.destroy(new Error("the answer is too large"));
            else chunks.push(chunk);
          });
          response.on("error", (error) => fail(error.message, error));
          response.on("end", () => {
            try {
              const value = JSON.parse(Buffer.concat(chunks).toString()) as { readonly message?: string };
              if (response.statusCode === 200) resolve(value);
              else fail(value.message ?? `status ${response.statusCode}`);
            } catch (error) {
              fail("it is not JSON", error);
            }
          });
        },
      );
      request.on("error", (error) => fail(error.message, error));
      request.end(body === undefined ? undefined : JSON.stringify(body));
    });
  }
}

/** The process may be running anything: what is not the answer that was asked for is no answer. */
function sense<Value>(path: string, parse: (answer: unknown) => Value, answer: unknown): Value {
  try {
    return parse(answer);
  } catch (error) {
    throw new AgentError("E_PROXY", `The proxy's answer to ${path} makes no sense.`, error);
  }
}
