/** Speaks to an agent: to our own over the unix socket, to others over their peer API. Answers are bounded. */
import { request } from "node:http";
import { AgentError, type AgentErrorCode } from "../errors.ts";
import type { LoggedLine } from "../journal/said.ts";
import type { Envelope } from "../release/contract.ts";
import type {
  AgentApi,
  CompareStatus,
  FleetStatus,
  NodeStatus,
  SeedRequest,
  VersionStatus,
} from "./contract.ts";

export type Endpoint = { readonly socketPath: string } | { readonly host: string; readonly port: number };

export interface RequestOptions {
  readonly method?: "GET" | "POST";
  /** Bytes are sent as they are, everything else as JSON. */
  readonly body?: unknown;
  readonly timeoutMs?: number;
  readonly bytesMax?: number;
}

const defaultTimeoutMs = 10_000;
const defaultBytesMax = 8 * 1024 * 1024;

/** One request, the whole answer. Throws the code that the other side answered, or E_NO_AGENT, E_FETCH, E_TOO_LARGE. */
export async function fetchBytes(
  endpoint: Endpoint,
  path: string,
  options: RequestOptions = {},
): Promise<Buffer> {
  const { status, bytes } = await exchange(endpoint, path, options);
  if (status === 200) return bytes;
  let fault: { code?: string; message?: string } = {};
  try {
    fault = JSON.parse(bytes.toString("utf8")) as typeof fault;
  } catch {
    // Not one of our answers; the status has to do.
  }
  const code = (fault.code ?? "E_FETCH") as AgentErrorCode;
  throw new AgentError(code, fault.message ?? `${path} answered HTTP status ${status}.`);
}

export async function fetchJson<T>(
  endpoint: Endpoint,
  path: string,
  options: RequestOptions = {},
): Promise<T> {
  const bytes = await fetchBytes(endpoint, path, options);
  try {
    return JSON.parse(bytes.toString("utf8")) as T;
  } catch (error) {
    throw new AgentError("E_FETCH", `${path} did not answer JSON.`, error);
  }
}

function exchange(
  endpoint: Endpoint,
  path: string,
  options: RequestOptions,
): Promise<{ status: number; bytes: Buffer }> {
  const bytesMax = options.bytesMax ?? defaultBytesMax;
  const timeoutMs = options.timeoutMs ?? defaultTimeoutMs;
  return new Promise((resolve, reject) => {
    const signal = AbortSignal.timeout(timeoutMs);
    const call = request(
      { ...endpoint, path, method: options.method ?? "GET", signal, agent: false },
      (response) => {
        const chunks: Buffer[] = [];
        let length = 0;
        response.on("data", (chunk: Buffer) => {
          length += chunk.length;
          if (length > bytesMax) {
            call.destroy(new AgentError("E_TOO_LARGE", `${path} answered more than ${bytesMax} bytes.`));
            return;
          }
          chunks.push(chunk);
        });
        response.on("end", () => resolve({ status: response.statusCode ?? 0, bytes: Buffer.concat(chunks) }));
        response.on("error", (error) => reject(unreachable(endpoint, error)));
      },
    );
    call.on("error", (error) => reject(unreachable(endpoint, error)));
    const { body } = options;
    call.end(body === undefined || body instanceof Uint8Array ? body : JSON.stringify(body));
  });
}

function unreachable(endpoint: Endpoint, error: Error): AgentError {
  if (error instanceof AgentError) return error;
  if ("socketPath" in endpoint) {
    const message = `No agent answers on ${endpoint.socketPath}; start it with 'vm-upgrade daemon'.`;
    return new AgentError("E_NO_AGENT", message, error);
  }
  return new AgentError(
    "E_FETCH",
    `${endpoint.host}:${endpoint.port} does not answer: ${error.message}.`,
    error,
  );
}

export class AgentClient implements AgentApi {
  readonly #endpoint: Endpoint;

  constructor(socketPath: string) {
    this.#endpoint = { socketPath };
  }

  status(): Promise<NodeStatus> {
    return fetchJson(this.#endpoint, "/v1/status");
  }

  fleet(): Promise<FleetStatus> {
    return fetchJson(this.#endpoint, "/v1/fleet");
  }

  logs(service: string, version: number, after = 0): Promise<LoggedLine[]> {
    return fetchJson(this.#endpoint, `/v1/logs/${encodeURIComponent(service)}/${version}?after=${after}`);
  }

  seed(body: SeedRequest): Promise<VersionStatus> {
    return fetchJson(this.#endpoint, "/v1/seed", { method: "POST", body, timeoutMs: 600_000 });
  }

  compare(service: string): Promise<CompareStatus> {
    return fetchJson(this.#endpoint, `/v1/compare/${encodeURIComponent(service)}`, { timeoutMs: 40_000 });
  }

  readmit(service: string, version: number): Promise<VersionStatus> {
    const path = `/v1/readmit/${encodeURIComponent(service)}/${version}`;
    return fetchJson(this.#endpoint, path, { method: "POST", timeoutMs: 40_000 });
  }

  retire(envelope: Envelope, force: boolean): Promise<VersionStatus> {
    return fetchJson(this.#endpoint, `/v1/retire?force=${force}`, {
      method: "POST",
      body: envelope,
      timeoutMs: 40_000,
    });
  }

  retry(service: string, version: number): Promise<VersionStatus> {
    return fetchJson(this.#endpoint, `/v1/retry/${encodeURIComponent(service)}/${version}`, {
      method: "POST",
    });
  }
}
