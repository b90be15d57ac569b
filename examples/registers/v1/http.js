/**
 * Registers by HTTP: GET and PUT of /registers/KEY, the value as the body; PUT with `if-value: OLD` compares and sets,
 * 412 with the value that is there when it is another; `x-request` is given back. For the version manager: every reply
 * has the register's stamp (`x-sequence`, `x-operation`), `x-operation` names a write, with `x-sequence` it is a copy of
 * a state; and GET /export lists all states.
 */
import { createServer } from "node:http";

const BODY_BYTES_MAX = 64 * 1024;

export function serveHttp(registers, port) {
  const connections = new Set();
  const server = createServer((request, response) => serve(registers, request, response));
  server.on("connection", (socket) => {
    connections.add(socket);
    socket.once("close", () => connections.delete(socket));
  });
  server.keepAliveTimeout = 60_000;
  server.listen(port);
  // An idle connection is not closed: its client may be sending just now. Those that come later may stay.
  const drain = () => connections.forEach((socket) => draining.add(socket));
  return { drain, close: () => server.close() };
}

/** Connections that end behind the last request that came, those that have ended so, and how many requests are open. */
const draining = new WeakSet();
const ended = new WeakSet();
const open = new WeakMap();

function serve(registers, request, response) {
  const { socket } = request;
  open.set(socket, (open.get(socket) ?? 0) + 1);
  let body = "";
  request.setEncoding("utf8").on("data", (text) => {
    body += text;
    if (body.length > BODY_BYTES_MAX) request.destroy();
  });
  request.on("end", () => {
    // What comes behind the announced last reply must not be done: its client sends it again elsewhere.
    if (ended.has(socket)) return;
    const { status, headers = {}, text = "" } = answer(registers, request, body);
    const left = open.get(socket) - 1;
    open.set(socket, left);
    const last = left === 0 && draining.has(socket);
    if (last) ended.add(socket);
    const name = request.headers["x-request"];
    response.writeHead(status, {
      ...headers,
      ...(name === undefined ? {} : { "x-request": name }),
      "content-length": Buffer.byteLength(text),
      ...(last ? { connection: "close" } : {}),
    });
    response.end(text);
  });
}

export function answer(registers, { method, url, headers }, body) {
  if (url === "/health") return { status: 200, text: "ok" };
  if (url === "/export") return { status: 200, text: exportOf(registers) };
  if (!url.startsWith("/registers/")) return { status: 404 };
  const key = url.slice("/registers/".length);
  if (method === "GET") return reply(registers.get(key), 200);
  if (method !== "PUT") return { status: 405 };
  const { "x-operation": operation, "x-sequence": sequence, "if-value": expected } = headers;
  if (sequence !== undefined) {
    registers.merge(key, { value: body, sequence: Number(sequence), operation });
    return { status: 204 };
  }
  if (expected === undefined) return reply(registers.set(key, body, operation), 200);
  return reply(registers.compareAndSet(key, expected, body, operation), 412);
}

function reply({ done, value, sequence, operation }, statusUndone) {
  const headers = { "x-sequence": sequence, "x-operation": operation };
  if (value === null) return { status: 404, headers };
  return { status: done ? 200 : statusUndone, headers, text: value };
}

/** One state per line; the last line says how many, so that a list that was cut off is known for it. */
export function exportOf(registers) {
  const lines = Array.from(registers, (state) => `${JSON.stringify(state)}\n`);
  return `${lines.join("")}${JSON.stringify({ registers: lines.length })}\n`;
}
