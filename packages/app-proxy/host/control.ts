/**
 * The agent's way to talk to a proxy process: HTTP and JSON on a unix socket.
 *
 *     GET  /v1/status    → what the process is and does
 *     PUT  /v1/versions  {"versions": […], "timeoutMs"?}  → {"settled": whether all requests begun before are over}
 *     POST /v1/drain     {"deadlineMs", "exit"?, "handedOver"?}  → {"remaining": connections and datagrams' requests};
 *                              exits then when asked to; handedOver: another process reads the same UDP sockets
 *     GET  /v1/events?after=N&waitMs=M  → {"events": those with a number above N, oldest first}; when there is none,
 *                              answered with the next, or after M milliseconds (default 0, at most 60,000)
 *     GET  /v1/compare         → {"comparisons": […]}, docs/PROXY.md
 *     POST /v1/readmit   {"version"}                       → {"readmitted": whether it was kept out}
 *     GET  /v1/watch     → an answer that does not end while the process lives
 */
import http from "node:http";
import type { ComparisonReport } from "../compare/contract.ts";
import { ProxyError } from "../errors.ts";
import type { ProxyEvent } from "../policy/events.ts";
import { faultsOfVersions, isObject, type VersionEndpoints } from "./launch.ts";
import type { ProxyServer } from "./proxy-server.ts";

const BODY_BYTES_MAX = 1024 * 1024;
const SETTLE_TIMEOUT_MS = 30_000;
const EVENTS_WAIT_MS_MAX = 60_000;

export interface ControlOptions {
  readonly server: ProxyServer;
  /** What the process says about itself besides the server's status. */
  about(): Record<string, unknown>;
  /** What happened that the agent must know, oldest first; empty for handlers that do not say. */
  events(): readonly ControlEvent[];
  /** Calls back after every event. The returned function ends that. */
  onEvent(told: () => void): () => void;
  /** Of each pair of versions whose replies are compared; empty for handlers that compare nothing. */
  comparisons(): readonly ComparisonReport[];
  /** Ends the quarantine of a version; false when there was none. */
  readmit(version: number): boolean;
  /** Ends the process, after the answer to a drain that asks for it. */
  exit(): void;
}

export interface ControlEvent {
  readonly number: number;
  /** ISO 8601. */
  readonly at: string;
  readonly kind: ProxyEvent["kind"];
  readonly version: number;
  readonly detail: string;
}

export function createControl(options: ControlOptions): http.Server {
  return http.createServer((request, response) => {
    answer(options, request, response).catch((error: unknown) => {
      const bad = error instanceof ProxyError;
      send(response, bad ? 400 : 500, {
        code: bad ? error.code : "E_INTERNAL",
        message: error instanceof Error ? error.message : String(error),
      });
    });
  });
}

async function answer(options: ControlOptions, request: http.IncomingMessage, response: http.ServerResponse) {
  const { server } = options;
  const url = new URL(request.url ?? "/", "http://proxy");
  switch (`${request.method} ${url.pathname}`) {
    case "GET /v1/status":
      return send(response, 200, { ...options.about(), ...server.status() });
    case "PUT /v1/versions": {
      const body = await readBody(request, ["versions", "timeoutMs"]);
      const faults = faultsOfVersions(body["versions"]);
      if (faults.length > 0)
        throw new ProxyError("E_LAUNCH", `The versions are wrong: ${faults.join("; ")}.`);
      const settling = server.setVersions(body["versions"] as VersionEndpoints[]);
      const settled = await within(settling, milliseconds(body, "timeoutMs", SETTLE_TIMEOUT_MS));
      return send(response, 200, { settled });
    }
    case "POST /v1/drain": {
      const body = await readBody(request, ["deadlineMs", "exit", "handedOver"]);
      const drained = await server.drain(
        milliseconds(body, "deadlineMs", SETTLE_TIMEOUT_MS),
        body["handedOver"] === true,
      );
      if (body["exit"] === true) response.on("close", () => options.exit());
      return send(response, 200, drained);
    }
    case "GET /v1/events":
      return send(response, 200, { events: await eventsAfter(options, url, response) });
    case "GET /v1/compare":
      return send(response, 200, { comparisons: options.comparisons() });
    case "POST /v1/readmit": {
      const body = await readBody(request, ["version"]);
      if (!Number.isInteger(body["version"]))
        throw new ProxyError("E_LAUNCH", "version must be a whole number.");
      return send(response, 200, { readmitted: options.readmit(body["version"] as number) });
    }
    case "GET /v1/watch":
      response.writeHead(200, { "content-type": "text/plain" });
      return response.flushHeaders();
    default:
      return send(response, 404, {
        code: "E_NO_SUCH_CALL",
        message: "This call does not exist; see docs/PROXY.md.",
      });
  }
}

async function eventsAfter(
  options: ControlOptions,
  { searchParams }: URL,
  response: http.ServerResponse,
): Promise<readonly ControlEvent[]> {
  const [after, waitMs] = ["after", "waitMs"].map((name) => Number(searchParams.get(name) ?? 0)) as [
    number,
    number,
  ];
  if (!Number.isInteger(after) || after < 0)
    throw new ProxyError("E_LAUNCH", "after must be the number of an event, or 0.");
  if (!(waitMs >= 0 && waitMs <= EVENTS_WAIT_MS_MAX))
    throw new ProxyError("E_LAUNCH", `waitMs must be milliseconds from 0 to ${EVENTS_WAIT_MS_MAX}.`);
  const found = (): readonly ControlEvent[] => options.events().filter(({ number }) => number > after);
  if (found().length > 0 || waitMs === 0) return found();
  await new Promise<void>((resolve) => {
    const over = (): void => {
      clearTimeout(timer);
      forget();
      resolve();
    };
    const timer = setTimeout(over, waitMs);
    const forget = options.onEvent(over);
    response.on("close", over);
  });
  return found();
}

function send(response: http.ServerResponse, status: number, value: unknown): void {
  const body = `${JSON.stringify(value)}\n`;
  response.writeHead(status, {
    "content-type": "application/json",
    "content-length": Buffer.byteLength(body),
  });
  response.end(body);
}

async function readBody(
  request: http.IncomingMessage,
  known: readonly string[],
): Promise<Record<string, unknown>> {
  const chunks: Buffer[] = [];
  let bytes = 0;
  for await (const chunk of request as AsyncIterable<Buffer>) {
    bytes += chunk.length;
    if (bytes > BODY_BYTES_MAX) throw new ProxyError("E_LAUNCH", "The body is too large.");
    chunks.push(chunk);
  }
  const value = jsonOf(Buffer.concat(chunks).toString());
  if (!isObject(value)) throw new ProxyError("E_LAUNCH", "The body must be a JSON object.");
  const unknown = Object.keys(value).filter((key) => !known.includes(key));
  if (unknown.length > 0)
    throw new ProxyError("E_LAUNCH", `The body has unknown keys: ${unknown.join(", ")}.`);
  return value;
}

function jsonOf(text: string): unknown {
  try {
    return text === "" ? {} : JSON.parse(text);
  } catch (error) {
    throw new ProxyError("E_LAUNCH", "The body is not JSON.", error);
  }
}

function milliseconds(body: Record<string, unknown>, key: string, otherwise: number): number {
  const value = body[key] ?? otherwise;
  if (typeof value === "number" && value >= 0 && value <= 2 ** 31 - 1) return value;
  throw new ProxyError("E_LAUNCH", `${key} must be milliseconds from 0 to 2147483647.`);
}

async function within(promise: Promise<void>, timeoutMs: number): Promise<boolean> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<boolean>((resolve) => (timer = setTimeout(() => resolve(false), timeoutMs)));
  const settled = await Promise.race([promise.then(() => true), late]);
  clearTimeout(timer);
  return settled;
}
