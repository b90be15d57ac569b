/** RESP 2. Replies have no names: what is checked is that each could be this request's. */
import { stateReply, type Protocol, type Reply, type Request, type Taken } from "./protocol.ts";
import type { Value } from "../../linearizability/history.ts";

export const resp: Protocol = {
  encode(request) {
    const words =
      request.kind === "read"
        ? ["GET", request.key]
        : request.kind === "write"
          ? ["SET", request.key, request.value]
          : ["CAS", request.key, request.expected, request.value];
    return `*${words.length}\r\n${words.map((word) => `$${word.length}\r\n${word}\r\n`).join("")}`;
  },
  take(input, request) {
    const lineEnd = input.indexOf("\r\n");
    if (lineEnd < 0) return undefined;
    const line = input.slice(0, lineEnd);
    const length = lineEnd + 2;
    if (line.startsWith("-")) return { reply: { kind: "error", text: line }, length };
    if (request.kind === "write") return { reply: writeReply(line, request), length };
    if (request.kind === "read") return readReply(input, request);
    return casReply(input, request);
  },
};

function misplaced(line: string, request: Request): Reply {
  return { kind: "misplaced", text: `${line} for ${JSON.stringify(request)}` };
}

function writeReply(line: string, request: Request): Reply {
  return line === "+OK" ? { kind: "state", done: true } : misplaced(line, request);
}

function readReply(input: string, request: Request): Taken | undefined {
  if (!input.startsWith("$")) return { reply: misplaced(input, request), length: input.length };
  const bulk = takeBulk(input, 0);
  return bulk && { reply: stateReply(request, true, bulk.value), length: bulk.end };
}

function casReply(input: string, request: Request): Taken | undefined {
  const head = /^\*2\r\n:([01])\r\n/.exec(input);
  if (head === null) {
    return input.length < 8 && input.startsWith("*")
      ? undefined
      : { reply: misplaced(input, request), length: input.length };
  }
  const bulk = takeBulk(input, head[0].length);
  return bulk && { reply: stateReply(request, head[1] === "1", bulk.value), length: bulk.end };
}

function takeBulk(input: string, at: number): { readonly value: Value; readonly end: number } | undefined {
  const lineEnd = input.indexOf("\r\n", at);
  if (lineEnd < 0) return undefined;
  const bytes = Number(input.slice(at + 1, lineEnd));
  if (bytes < 0) return { value: null, end: lineEnd + 2 };
  const end = lineEnd + 2 + bytes + 2;
  return input.length < end ? undefined : { value: input.slice(lineEnd + 2, lineEnd + 2 + bytes), end };
}
