/** HTTP/1.1 on a kept connection; the service gives `x-request` back, so each reply names its request. */
import { stateReply, type Protocol, type Reply, type Request } from "./protocol.ts";

export const http: Protocol = {
  encode(request, id) {
    const body = request.kind === "read" ? "" : request.value;
    const lines = [
      `${request.kind === "read" ? "GET" : "PUT"} /registers/${request.key} HTTP/1.1`,
      "host: registers",
      `x-request: ${id}`,
      ...(request.kind === "cas" ? [`if-value: ${request.expected}`] : []),
      ...(request.kind === "read" ? [] : [`content-length: ${body.length}`]),
    ];
    return `${lines.join("\r\n")}\r\n\r\n${body}`;
  },
  take(input, request, id) {
    const headEnd = input.indexOf("\r\n\r\n");
    if (headEnd < 0) return undefined;
    const [statusLine = "", ...lines] = input.slice(0, headEnd).split("\r\n");
    const headers = new Map(lines.map((line) => headerIn(line)));
    const length = headEnd + 4 + Number(headers.get("content-length") ?? 0);
    if (input.length < length) return undefined;
    const status = Number(statusLine.split(" ")[1]);
    const text = input.slice(headEnd + 4, length);
    const isOurs = headers.get("x-request") === String(id);
    const last = headers.get("connection") === "close";
    return { reply: replyOf(status, text, isOurs, request), length, last };
  },
};

function headerIn(line: string): readonly [string, string] {
  const colon = line.indexOf(":");
  return [line.slice(0, colon).toLowerCase(), line.slice(colon + 1).trim()];
}

function replyOf(status: number, text: string, isOurs: boolean, request: Request): Reply {
  // What the proxy says by itself names no request.
  if (![200, 404, 412].includes(status)) return { kind: "error", text: `${status} ${text}` };
  if (!isOurs) return { kind: "misplaced", text: `${status} ${text} for ${JSON.stringify(request)}` };
  if (status === 404) return stateReply(request, request.kind === "read", null);
  return stateReply(request, status === 200, text);
}
