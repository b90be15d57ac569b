/** The agent's side of the control API: `RouterControl` over HTTP on the router's unix socket. */
import { request as httpRequest } from "node:http";
import type { IncomingMessage } from "node:http";
import { createInterface } from "node:readline";
import { setTimeout as sleep } from "node:timers/promises";
import { RouterError } from "../errors.ts";
import type { RouterErrorCode } from "../errors.ts";
import type {
  Advertisement,
  ClientPath,
  DomainLink,
  FlowFilter,
  FlowList,
  LinkKind,
  LinkLimits,
  PeerCounter,
  PortSet,
  RouterControl,
  RouterEvent,
  RouterStatus,
  ServicePolicy,
  TraceFilter,
  TraceLine,
  VersionKey,
} from "./contract.ts";

export interface RouterClientOptions {
  /** Time in which a call must be answered, milliseconds, default 30,000: attaching a domain takes a while. */
  readonly timeoutMs?: number;
  /** How long a call waits for a router that does not answer, for example while it restarts. Default 0. */
  readonly patienceMs?: number;
}

const RETRY_MIN_MS = 50;
const RETRY_MAX_MS = 1_000;

const KNOWN_CODES: ReadonlySet<string> = new Set<RouterErrorCode>([
  "E_BAD_REQUEST",
  "E_NO_DATA_PATH",
  "E_NO_DOMAIN",
  "E_NOT_ROOT",
  "E_PORT_TAKEN",
  "E_TOO_MANY_DOMAINS",
  "E_KERNEL",
]);

type Method = "GET" | "PUT" | "POST" | "DELETE";

/** Throws RouterError with the router's code; E_NO_ROUTER when nobody answers, E_NOT_ROOT when we may not ask. */
export class RouterClient implements RouterControl {
  readonly #socketPath: string;
  readonly #timeoutMs: number;
  readonly #patienceMs: number;

  constructor(socketPath: string, { timeoutMs = 30_000, patienceMs = 0 }: RouterClientOptions = {}) {
    this.#socketPath = socketPath;
    this.#timeoutMs = timeoutMs;
    this.#patienceMs = patienceMs;
  }

  status(): Promise<RouterStatus> {
    return this.#call<RouterStatus>("GET", "/v1/status");
  }

  attachDomain({
    kind,
    networkMbitPerS,
    ...key
  }: VersionKey & LinkLimits & { readonly kind: LinkKind }): Promise<DomainLink> {
    return this.#call<DomainLink>("PUT", domainPath(key), { kind, networkMbitPerS });
  }

  async detachDomain(key: VersionKey): Promise<void> {
    await this.#call("DELETE", domainPath(key));
  }

  async registerPorts(key: VersionKey, ports: PortSet): Promise<void> {
    await this.#call("POST", `${domainPath(key)}/ports`, ports);
  }

  async unregisterPorts(key: VersionKey, ports: PortSet): Promise<void> {
    await this.#call("DELETE", `${domainPath(key)}/ports`, ports);
  }

  async setClientPath(service: string, path: ClientPath): Promise<void> {
    await this.#call("PUT", `${servicePath(service)}/client-path`, path);
  }

  async setPolicy(service: string, policy: ServicePolicy): Promise<void> {
    await this.#call("PUT", `${servicePath(service)}/policy`, policy);
  }

  directConnections(key: VersionKey): Promise<{ readonly open: number }> {
    return this.#call<{ open: number }>("GET", `${domainPath(key)}/connections`);
  }

  resetDirectConnections(key: VersionKey): Promise<{ readonly reset: number }> {
    return this.#call<{ reset: number }>("DELETE", `${domainPath(key)}/connections`);
  }

  async setAdvertisements(service: string, advertisements: readonly Advertisement[]): Promise<void> {
    await this.#call("PUT", `${servicePath(service)}/advertisements`, advertisements);
  }

  async setManagedPeers(addresses: readonly string[]): Promise<void> {
    await this.#call("PUT", "/v1/peers", addresses);
  }

  flows(filter: FlowFilter): Promise<FlowList> {
    return this.#call<FlowList>("POST", "/v1/flows", filter);
  }

  peerCounters(): Promise<readonly PeerCounter[]> {
    return this.#call<readonly PeerCounter[]>("GET", "/v1/peer-counters");
  }

  async *trace(filter: TraceFilter, signal: AbortSignal): AsyncGenerator<TraceLine> {
    try {
      for await (const line of this.#lines("POST", "/v1/trace", filter, signal))
        yield JSON.parse(line) as TraceLine;
    } catch (error) {
      if (signal.aborted) return;
      throw error instanceof RouterError ? error : this.#noAnswer(error, false);
    }
  }

  /**
   * Never throws and never ends by itself: when the router goes away it is waited for, and then everything already
   * heard comes again. Ends when aborted.
   */
  async *events(signal: AbortSignal): AsyncGenerator<RouterEvent> {
    let retryMs = RETRY_MIN_MS;
    while (!signal.aborted) {
      try {
        for await (const line of this.#lines("GET", "/v1/events", undefined, signal)) {
          retryMs = RETRY_MIN_MS;
          yield JSON.parse(line) as RouterEvent;
        }
      } catch {
        // Whatever ended the stream, the only remedy is to ask for it again.
      }
      await sleep(retryMs, undefined, { signal }).catch(() => undefined);
      retryMs = Math.min(RETRY_MAX_MS, retryMs * 2);
    }
  }

  /** Every call is idempotent, so one that got no answer may be repeated. */
  async #call<T = unknown>(method: Method, path: string, body?: unknown): Promise<T> {
    const deadlineMs = performance.now() + this.#patienceMs;
    for (let retryMs = RETRY_MIN_MS; ; retryMs = Math.min(RETRY_MAX_MS, retryMs * 2)) {
      try {
        return await this.#callOnce<T>(method, path, body);
      } catch (error) {
        const leftMs = deadlineMs - performance.now();
        if (!(error instanceof RouterError) || error.code !== "E_NO_ROUTER" || leftMs <= 0) throw error;
        await sleep(Math.min(retryMs, leftMs));
      }
    }
  }

  async #callOnce<T>(method: Method, path: string, body: unknown): Promise<T> {
    const signal = AbortSignal.timeout(this.#timeoutMs);
    try {
      const response = await this.#request(method, path, body, signal);
      const value = await readJson(response);
      if (response.statusCode === 200) return value as T;
      throw errorFrom(value, `${method} ${path}`);
    } catch (error) {
      throw error instanceof RouterError ? error : this.#noAnswer(error, signal.aborted);
    }
  }

  async *#lines(method: Method, path: string, body: unknown, signal: AbortSignal): AsyncGenerator<string> {
    const response = await this.#request(method, path, body, signal);
    if (response.statusCode !== 200) throw errorFrom(await readJson(response), `${method} ${path}`);
    try {
      yield* createInterface({ input: response, crlfDelay: Number.POSITIVE_INFINITY });
    } finally {
      response.destroy();
    }
  }

  #request(method: Method, path: string, body: unknown, signal: AbortSignal): Promise<IncomingMessage> {
    const payload = body === undefined ? undefined : JSON.stringify(body);
    const headers =
      payload === undefined
        ? {}
        : { "content-type": "application/json", "content-length": Buffer.byteLength(payload) };
    return new Promise((resolve, reject) => {
      // A connection of its own per call: one that is kept could be the dead end of an earlier router.
      const options = { socketPath: this.#socketPath, method, path, headers, agent: false, signal };
      const request = httpRequest(options, resolve);
      request.once("error", reject);
      request.end(payload);
    });
  }

  #noAnswer(cause: unknown, timedOut: boolean): RouterError {
    const { code } = cause as NodeJS.ErrnoException;
    if (code === "EACCES" || code === "EPERM") {
      return new RouterError("E_NOT_ROOT", `You may not use ${this.#socketPath}; run as root.`, cause);
    }
    const what = timedOut ? `did not answer within ${this.#timeoutMs} ms` : "does not answer";
    return new RouterError(
      "E_NO_ROUTER",
      `The version router at ${this.#socketPath} ${what}; start vm-router or look at its log.`,
      cause,
    );
  }
}

async function readJson(response: IncomingMessage): Promise<unknown> {
  const chunks: Buffer[] = [];
  for await (const chunk of response) chunks.push(chunk as Buffer);
  return JSON.parse(Buffer.concat(chunks).toString("utf8"));
}

function errorFrom(value: unknown, call: string): RouterError {
  const { code, message } = (value ?? {}) as { code?: unknown; message?: unknown };
  if (typeof code === "string" && KNOWN_CODES.has(code)) {
    return new RouterError(code as RouterErrorCode, String(message));
  }
  return new RouterError("E_KERNEL", `The router failed at ${call}; look at its log.`);
}

function servicePath(service: string): string {
  return `/v1/services/${encodeURIComponent(service)}`;
}

function domainPath({ service, version }: VersionKey): string {
  return `/v1/domains/${encodeURIComponent(service)}/${encodeURIComponent(version)}`;
}
