/**
 * Registers by HTTP: GET and PUT of /registers/KEY, the value as the body; PUT with `if-value: OLD` compares and sets,
 * 412 with the value that is there when it is another. For the version manager: every reply has the register's
 * stamp (`x-stamp`), `x-operation` names a write, a PUT with `x-stamp` is a copy of a state; and GET /export lists all
 * states.
 */
import { createServer } from "node:http";
import { stampFrom, stampOf } from "./registers.js";

const BODY_BYTES_MAX = 64 * 1024;

export function serveHttp(registers, port) {
  let draining = false;
  const server = createServer((request, response) => {
    let body = "";
    request.setEncoding("utf8").on("data", (text) => {
      body += text;
      if (body.length > BODY_BYTES_MAX) request.destroy();
    });
    request.on("end", () => {
      const { status, headers = {}, text = "" } = answer(registers, request, body);
      response.writeHead(status, {
        ...headers,
        "content-length": Buffer.byteLength(text),
        ...(draining ? { connection: "close" } : {}),
      });
      response.end(text);
    });
  });
  server.keepAliveTimeout = 60_000;
  server.listen(port);
  const drain = () => {
    draining = true;
    server.closeIdleConnections();
  };
  return { drain, close: () => server.close() };
}

function answer(registers, { method, url, headers }, body) {
  if (url === "/health") return { status: 200, text: "ok" };
  if (url === "/export") return { status: 200, text: exportOf(registers) };
  if (!url.startsWith("/registers/")) return { status: 404 };
  const key = url.slice("/registers/".length);
  if (method === "GET") return reply(registers.get(key), 200);
  if (method !== "PUT") return { status: 405 };
  const { "x-operation": operation, "x-stamp": stamp, "if-value": expected } = headers;
  if (stamp !== undefined) {
    registers.merge(key, { value: body, ...stampFrom(stamp) });
    return { status: 204 };
  }
  if (expected === undefined) return reply(registers.set(key, body, operation), 200);
  return reply(registers.compareAndSet(key, expected, body, operation), 412);
}

function reply({ done, value, ...stamp }, statusUndone) {
  const headers = { "x-stamp": stampOf(stamp) };
  if (value === null) return { status: 404, headers };
  return { status: done ? 200 : statusUndone, headers, text: value };
}

export function exportOf(registers) {
  return Array.from(registers, (state) => `${JSON.stringify(state)}\n`).join("");
}
