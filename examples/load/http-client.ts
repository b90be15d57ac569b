/**
 * An HTTP client with the ordinary habits of one: a pool of keep-alive connections that are recycled now and then, a
 * deadline per request, and one transparent retry of an idempotent request when the server closed a reused connection
 * before it answered anything (RFC 9110, section 9.2.2). Nothing else is ever retried.
 */
import { Agent, request as httpRequest, type ClientRequest, type IncomingMessage } from "node:http";
import type { Duplex } from "node:stream";

export interface HttpClientOptions {
  /** Milliseconds from the start of a request to the end of its answer, retry included. */
  readonly timeoutMs: number;
  /** After so many requests a connection is closed by the client. */
  readonly requestsPerConnection: number;
}

export type Outcome =
  | { readonly kind: "answer"; readonly status: number; readonly body: string; readonly retried: boolean }
  | {
      readonly kind: "failure";
      readonly reason: string;
      readonly message: string;
      readonly retried: boolean;
    };

/** Idle connections are closed by the client after this time, well before servers do. */
const IDLE_MS = 15_000;

class RecyclingAgent extends Agent {
  readonly #uses = new WeakMap<Duplex, number>();
  readonly #requestsMax: number;

  constructor(requestsMax: number) {
    super({ keepAlive: true, timeout: IDLE_MS });
    this.#requestsMax = requestsMax;
  }

  /** Node asks after each answer whether the connection goes back to the pool; false closes it. */
  override keepSocketAlive(socket: Duplex): boolean {
    const uses = (this.#uses.get(socket) ?? 0) + 1;
    this.#uses.set(socket, uses);
    const alive: unknown = super.keepSocketAlive(socket);
    return alive !== false && uses < this.#requestsMax;
  }
}

interface Attempt {
  readonly url: string;
  readonly method: "GET" | "PUT";
  readonly body: string | undefined;
  readonly agent: Agent | false;
  readonly deadlineMs: number;
}

class AttemptError extends Error {
  readonly reason: string;
  readonly retryable: boolean;

  constructor(reason: string, message: string, retryable: boolean) {
    super(message);
    this.reason = reason;
    this.retryable = retryable;
  }
}

function reasonOf(error: NodeJS.ErrnoException, connected: boolean): string {
  if (error.code === "ETIMEDOUT") return "timeout";
  return connected ? "reset" : "connect";
}

function attempt(given: Attempt): Promise<{ status: number; body: string }> {
  return new Promise((resolve, reject) => {
    const headers = given.body === undefined ? {} : { "content-length": Buffer.byteLength(given.body) };
    const request: ClientRequest = httpRequest(given.url, {
      method: given.method,
      agent: given.agent,
      headers,
    });
    let response: IncomingMessage | undefined;
    let bytesReadBefore: number | undefined;
    let timedOut = false;
    const timer = setTimeout(() => {
      timedOut = true;
      request.destroy(new Error(`no complete answer within the deadline`));
    }, given.deadlineMs - performance.now());
    const fail = (error: NodeJS.ErrnoException): void => {
      clearTimeout(timer);
      const silent = response === undefined && request.socket?.bytesRead === bytesReadBefore;
      const closed = error.code === "ECONNRESET" || error.code === "EPIPE";
      const reason = timedOut
        ? "timeout"
        : reasonOf(error, request.socket?.remoteAddress !== undefined || closed);
      reject(new AttemptError(reason, error.message, !timedOut && request.reusedSocket && closed && silent));
    };
    request.on("socket", (socket) => {
      bytesReadBefore = socket.bytesRead;
    });
    request.on("error", fail);
    request.on("response", (incoming) => {
      response = incoming;
      let body = "";
      incoming.setEncoding("utf8");
      incoming.on("data", (text: string) => (body += text));
      incoming.on("error", fail);
      incoming.on("end", () => {
        clearTimeout(timer);
        resolve({ status: incoming.statusCode ?? 0, body });
      });
    });
    request.end(given.body);
  });
}

export class HttpClient {
  readonly #options: HttpClientOptions;
  readonly #agents = new Map<string, Agent>();

  constructor(options: HttpClientOptions) {
    this.#options = options;
  }

  #agent(baseUrl: string): Agent {
    const known = this.#agents.get(baseUrl);
    if (known !== undefined) return known;
    const agent = new RecyclingAgent(this.#options.requestsPerConnection);
    this.#agents.set(baseUrl, agent);
    return agent;
  }

  /** `baseUrl` is `http://address[:port]`; `path` begins with a slash. Never rejects. */
  async request(baseUrl: string, method: "GET" | "PUT", path: string, body?: string): Promise<Outcome> {
    const deadlineMs = performance.now() + this.#options.timeoutMs;
    const first = { url: baseUrl + path, method, body, agent: this.#agent(baseUrl), deadlineMs };
    let retried = false;
    try {
      try {
        return { kind: "answer", ...(await attempt(first)), retried };
      } catch (error) {
        if (!(error instanceof AttemptError) || !error.retryable) throw error;
        retried = true;
        // On a connection of its own: another one of the pool may have been closed as well.
        return { kind: "answer", ...(await attempt({ ...first, agent: false })), retried };
      }
    } catch (error) {
      const reason = error instanceof AttemptError ? error.reason : "internal";
      return {
        kind: "failure",
        reason,
        message: error instanceof Error ? error.message : String(error),
        retried,
      };
    }
  }

  close(): void {
    for (const agent of this.#agents.values()) agent.destroy();
  }
}
