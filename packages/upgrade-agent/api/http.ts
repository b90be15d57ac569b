/** JSON over HTTP/1.1 with a table of routes, for the local API and the peer API. */
import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import { CodedError } from "@version-manager/version-router";
import { AgentError, type AgentErrorCode } from "../errors.ts";

export interface Call {
  /** Named parts of the path, decoded. */
  readonly parameters: Readonly<Record<string, string>>;
  readonly query: URLSearchParams;
  /** Of a binary route the bytes, of all others the parsed JSON; undefined when there is none. */
  readonly body: unknown;
  readonly remoteAddress: string | undefined;
}

/** Bytes are sent as they are, everything else as JSON. */
type Handler = (call: Call) => Promise<unknown>;

/** `"GET /v1/releases/:service/:version"` → handler; a method written `POST*` takes bytes. */
export type Routes = Readonly<Record<string, Handler>>;

export interface ServerLimits {
  readonly bodyBytesMax: number;
  /** Whole request and whole answer, milliseconds. */
  readonly timeoutMs: number;
}

const statusOf: Partial<Record<AgentErrorCode, number>> = {
  E_NO_VERSION: 404,
  E_BAD_REQUEST: 400,
  E_MANIFEST: 422,
  E_TOO_LARGE: 413,
  E_AGENT_BUSY: 503,
  E_INTERNAL: 500,
  E_RETIRE_TOO_EARLY: 409,
  E_COMPARE_GATE: 409,
  E_NOT_QUARANTINED: 409,
  E_VERSION_NOT_NEWER: 409,
};

export function createJsonServer(routes: Routes, limits: ServerLimits): Server {
  const table = Object.entries(routes).map(([key, handler]) => ({ ...patternOf(key), handler }));
  const server = createServer((request, response) => {
    answer(table, limits, request, response).catch(() => response.destroy());
  });
  server.requestTimeout = limits.timeoutMs;
  server.headersTimeout = Math.min(limits.timeoutMs, 10_000);
  return server;
}

interface Route {
  readonly method: string;
  readonly binary: boolean;
  readonly pattern: RegExp;
  readonly handler: Handler;
}

function patternOf(key: string): Omit<Route, "handler"> {
  const [verb = "", path = ""] = key.split(" ");
  const binary = verb.endsWith("*");
  const method = binary ? verb.slice(0, -1) : verb;
  return { method, binary, pattern: new RegExp(`^${path.replaceAll(/:(\w+)/g, "(?<$1>[^/]{1,128})")}$`) };
}

async function answer(
  table: readonly Route[],
  limits: ServerLimits,
  request: IncomingMessage,
  response: ServerResponse,
): Promise<void> {
  try {
    const url = new URL(request.url ?? "/", "http://agent");
    const route = table.find((entry) => entry.method === request.method && entry.pattern.test(url.pathname));
    if (route === undefined) {
      send(response, 404, {
        code: "E_BAD_REQUEST",
        message: `There is no ${request.method} ${url.pathname}.`,
      });
      return;
    }
    const groups = route.pattern.exec(url.pathname)?.groups ?? {};
    const parameters = Object.fromEntries(
      Object.entries(groups).map(([name, value]) => [name, decodeURIComponent(value)]),
    );
    const bytes = await readBody(request, limits.bodyBytesMax);
    const body = route.binary || bytes === undefined ? bytes : parseJson(bytes);
    const { remoteAddress } = request.socket;
    const result = await route.handler({ parameters, query: url.searchParams, body, remoteAddress });
    send(response, 200, result ?? {});
  } catch (error) {
    const { code, message } = describe(error);
    send(response, statusOf[code as AgentErrorCode] ?? (code === "E_INTERNAL" ? 500 : 400), {
      code,
      message,
    });
  }
}

function describe(error: unknown): { code: string; message: string } {
  if (error instanceof CodedError) return { code: error.code as string, message: error.message };
  return { code: "E_INTERNAL", message: error instanceof Error ? error.message : String(error) };
}

async function readBody(request: IncomingMessage, bytesMax: number): Promise<Buffer | undefined> {
  const chunks: Buffer[] = [];
  let length = 0;
  for await (const chunk of request as AsyncIterable<Buffer>) {
    length += chunk.length;
    if (length > bytesMax) throw new AgentError("E_TOO_LARGE", `The request is over ${bytesMax} bytes.`);
    chunks.push(chunk);
  }
  return length === 0 ? undefined : Buffer.concat(chunks);
}

function parseJson(bytes: Buffer): unknown {
  try {
    return JSON.parse(bytes.toString("utf8"));
  } catch (error) {
    throw new AgentError("E_BAD_REQUEST", "The request's body is not JSON.", error);
  }
}

function send(response: ServerResponse, status: number, value: unknown): void {
  const binary = value instanceof Uint8Array;
  const bytes = binary ? value : Buffer.from(`${JSON.stringify(value)}\n`);
  response.writeHead(status, {
    "content-type": binary ? "application/octet-stream" : "application/json",
    "content-length": bytes.length,
  });
  response.end(bytes);
}
