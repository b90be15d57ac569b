/** A small HTTP server of JSON over a table of routes; the control socket and the domains' gateway are made of it. */
import { createServer } from "node:http";
import type { IncomingMessage, Server, ServerResponse } from "node:http";
import { Readable } from "node:stream";
import { pipeline } from "node:stream/promises";
import { CodedError } from "../errors.ts";
import { RouterError } from "../errors.ts";

export interface JsonRequest {
  /** Values of the `:name` segments of the route's path. */
  readonly params: Readonly<Record<string, string>>;
  /** Parsed JSON body; undefined when the body is empty. */
  readonly body: unknown;
  readonly remoteAddress: string;
  /** Aborted when the client goes away or the server closes. */
  readonly signal: AbortSignal;
}

export type Reply =
  | { readonly kind: "json"; readonly value: unknown }
  | { readonly kind: "text"; readonly contentType: string; readonly text: string }
  /** Newline-delimited JSON, for as long as it lasts. */
  | { readonly kind: "lines"; readonly values: AsyncIterable<unknown> };

export interface Route {
  readonly method: "GET" | "PUT" | "POST" | "DELETE";
  /** `/v1/domains/:service` */
  readonly path: string;
  readonly answer: (request: JsonRequest) => Promise<Reply> | Reply;
}

export interface JsonServerOptions {
  readonly bodyBytesMax: number;
  /** Time in which a client must have sent its whole request. */
  readonly requestTimeoutMs: number;
  readonly connectionsMax: number;
  readonly closing: AbortSignal;
  /** Told of faults that are not the client's. */
  readonly onFault: (error: unknown) => void;
}

const STATUS_OF: Readonly<Record<string, number>> = {
  E_BAD_REQUEST: 400,
  E_NOT_ROOT: 403,
  E_NO_DOMAIN: 404,
  E_PORT_TAKEN: 409,
  E_NO_DATA_PATH: 501,
  E_TOO_MANY_DOMAINS: 507,
};

export function createJsonServer(routes: readonly Route[], options: JsonServerOptions): Server {
  const { requestTimeoutMs } = options;
  const server = createServer(
    {
      requestTimeout: requestTimeoutMs,
      headersTimeout: requestTimeoutMs,
      keepAliveTimeout: requestTimeoutMs,
    },
    (request, response) => void serve(routes, options, request, response),
  );
  server.maxConnections = options.connectionsMax;
  return server;
}

async function serve(
  routes: readonly Route[],
  options: JsonServerOptions,
  request: IncomingMessage,
  response: ServerResponse,
): Promise<void> {
  const gone = new AbortController();
  response.once("close", () => gone.abort());
  const signal = AbortSignal.any([gone.signal, options.closing]);
  try {
    const { route, params } = findRoute(routes, request);
    const body = await readBody(request, options.bodyBytesMax);
    const remoteAddress = request.socket.remoteAddress ?? "";
    await send(response, await route.answer({ params, body, remoteAddress, signal }));
  } catch (error) {
    refuse(response, error, options);
  }
}

function findRoute(
  routes: readonly Route[],
  request: IncomingMessage,
): { route: Route; params: Record<string, string> } {
  const path = (request.url ?? "").split("?")[0] ?? "";
  const there = routes.flatMap((route) => {
    const params = matchPath(route.path, path);
    return params === undefined ? [] : [{ route, params }];
  });
  const found = there.find(({ route }) => route.method === request.method);
  if (found !== undefined) return found;
  const methods = there.map(({ route }) => route.method).join(", ");
  throw new RouterError(
    "E_BAD_REQUEST",
    there.length === 0 ? `There is nothing at ${path}.` : `Use ${methods} for ${path}.`,
  );
}

function matchPath(pattern: string, path: string): Record<string, string> | undefined {
  const names = pattern.split("/");
  const values = path.split("/");
  if (names.length !== values.length) return undefined;
  const params: Record<string, string> = {};
  for (const [index, name] of names.entries()) {
    const value = values[index] ?? "";
    if (name.startsWith(":")) params[name.slice(1)] = value;
    else if (name !== value) return undefined;
  }
  return params;
}

async function readBody(request: IncomingMessage, bytesMax: number): Promise<unknown> {
  const chunks: Buffer[] = [];
  let bytes = 0;
  for await (const chunk of request) {
    bytes += (chunk as Buffer).length;
    if (bytes > bytesMax)
      throw new RouterError("E_BAD_REQUEST", `The body must not exceed ${bytesMax} bytes.`);
    chunks.push(chunk as Buffer);
  }
  if (bytes === 0) return undefined;
  try {
    return JSON.parse(Buffer.concat(chunks).toString("utf8"));
  } catch (cause) {
    throw new RouterError("E_BAD_REQUEST", "The body must be JSON.", cause);
  }
}

async function send(response: ServerResponse, reply: Reply): Promise<void> {
  if (reply.kind === "json") {
    response.writeHead(200, { "content-type": "application/json" });
    response.end(`${JSON.stringify(reply.value ?? null)}\n`);
  } else if (reply.kind === "text") {
    response.writeHead(200, { "content-type": reply.contentType });
    response.end(reply.text);
  } else {
    response.writeHead(200, { "content-type": "application/x-ndjson" });
    response.flushHeaders();
    // A client that leaves in the middle of a stream is nothing to report.
    await pipeline(Readable.from(lines(reply.values)), response).catch(() => undefined);
  }
}

async function* lines(values: AsyncIterable<unknown>): AsyncGenerator<string> {
  for await (const value of values) yield `${JSON.stringify(value)}\n`;
}

function refuse(response: ServerResponse, error: unknown, options: JsonServerOptions): void {
  const coded = error instanceof CodedError ? error : undefined;
  const status = STATUS_OF[coded?.code ?? ""] ?? 500;
  if (status >= 500) options.onFault(error);
  if (response.headersSent || response.destroyed) {
    response.destroy();
    return;
  }
  const code = coded?.code ?? "E_KERNEL";
  const message = coded?.message ?? "The router failed; its log says more.";
  // The code is in the status line too, for clients such as wget that show only that of an error. The rest of a
  // body that was too long is not read.
  response.writeHead(status, code, { "content-type": "application/json", connection: "close" });
  response.end(`${JSON.stringify({ code, message })}\n`);
}
