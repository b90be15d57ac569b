/** What of an HTTP reply is compared between versions: the status, the headers but for those of the way, and the body. */
import type { ComparableValue } from "../../compare/value.ts";
import { headerOf, type HttpReply, type HttpRequest } from "./message.ts";

/** They concern the connection, the length or the moment, not what was answered. */
const NOT_COMPARED: ReadonlySet<string> = new Set([
  "age",
  "connection",
  "content-length",
  "date",
  "keep-alive",
  "proxy-connection",
  "server-timing",
  "te",
  "trailer",
  "transfer-encoding",
  "upgrade",
]);

/** The body is compared as JSON where it is JSON. */
export function comparableHttp(reply: HttpReply): ComparableValue {
  const names = new Set(reply.headers.map(([name]) => name.toLowerCase()));
  const headers = [...names]
    .filter((name) => !NOT_COMPARED.has(name))
    .map((name) => [name, headerOf(reply, name) ?? ""] as const);
  return { status: reply.status, headers: Object.fromEntries(headers), body: reply.body };
}

/** Method and path; a query may hold secrets. */
export function describeHttp({ method, target }: HttpRequest): string {
  return `${method} ${target.split("?", 1)[0]}`;
}
