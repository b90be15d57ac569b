/** Every framing, as the matrix of framings and policies needs it: how an operation is said, and what a reply echoes. */
import {
  httpFraming,
  lengthPrefixFraming,
  linesFraming,
  MSGPACK_NIL,
  msgpackFraming,
  msgpackRpcFraming,
  oncRpcFraming,
  respDecode,
  respEncode,
  respFraming,
  respRequest,
  rpcReply,
  type Framing,
  type HttpReply,
  type HttpRequest,
  type MsgpackRpcReply,
  type MsgpackRpcRequest,
  type RespRequest,
  type RpcCall,
  type RpcReply,
} from "../../index.ts";

/** Names a request: whether it writes, its key, and a number that no other request has. */
export interface Operation {
  readonly writes: boolean;
  readonly key: string;
  readonly number: number;
}

export interface Subject<Request, Reply> {
  readonly framing: Framing<Request, Reply>;
  readonly request: (operation: Operation) => Request;
  /** What a version says to a request: its own words, so that a reply given to another is seen. */
  readonly reply: (request: Request) => Reply;
  /** The words of a reply; undefined: it tells of a failure. */
  readonly words: (reply: Reply) => string | undefined;
  readonly isWrite: (request: Request) => boolean;
  readonly keyOf: (request: Request) => string;
}

const text = ({ writes, key, number }: Operation): string => `${writes ? "put" : "get"} ${key} ${number}`;
const isWriteText = (line: string): boolean => line.startsWith("put");
const keyOfText = (line: string): string => line.split(" ")[1] ?? "";
const textOf = (bytes: Uint8Array): string => Buffer.from(bytes).toString("latin1");
const FAILED = "failed";
const wordsOf = (line: string): string | undefined => (line === FAILED ? undefined : line);

const ofBytes = (framing: Framing<Uint8Array, Uint8Array>, encode: (line: string) => Buffer, head = 0) =>
  ({
    framing,
    request: (operation) => encode(text(operation)),
    reply: (request) => request,
    words: (reply) => wordsOf(textOf(reply.subarray(head))),
    isWrite: (request) => isWriteText(textOf(request.subarray(head))),
    keyOf: (request) => keyOfText(textOf(request.subarray(head))),
  }) satisfies Subject<Uint8Array, Uint8Array>;

/** A short string of MessagePack. */
const packed = (line: string): Buffer => Buffer.concat([Buffer.of(0xa0 + line.length), Buffer.from(line)]);

const lines: Subject<string, string> = {
  framing: linesFraming({ delimiter: "\r\n", failure: () => FAILED }),
  request: text,
  reply: (request) => request,
  words: wordsOf,
  isWrite: isWriteText,
  keyOf: keyOfText,
};

const http: Subject<HttpRequest, HttpReply> = {
  framing: httpFraming(),
  request: (operation) => ({
    method: operation.writes ? "PUT" : "GET",
    target: `/${operation.key}`,
    minor: 1,
    headers: [
      ["Host", "h"],
      ["X-Number", text(operation)],
    ],
    body: Buffer.from(operation.writes ? text(operation) : ""),
  }),
  reply: ({ headers }) => ok(headers.find(([name]) => name === "X-Number")?.[1] ?? ""),
  words: (reply) => (reply.status === 200 ? textOf(reply.body) : undefined),
  isWrite: ({ method }) => method === "PUT",
  keyOf: ({ target }) => target,
};

function ok(body: string): HttpReply {
  return { status: 200, reason: "OK", minor: 1, headers: [], body: Buffer.from(body), untilClose: false };
}

const resp: Subject<RespRequest, Uint8Array> = {
  framing: respFraming(),
  request: (operation) =>
    operation.writes
      ? respRequest("SET", operation.key, text(operation))
      : respRequest("GET", operation.key, text(operation)),
  reply: ({ words }) => respEncode(words[2] ?? null),
  words: (reply) => {
    const value = respDecode(reply);
    return Buffer.isBuffer(value) ? value.toString() : undefined;
  },
  isWrite: ({ name }) => name === "SET",
  keyOf: ({ words }) => String(words[1]),
};

const oncRpc: Subject<RpcCall, RpcReply> = {
  framing: oncRpcFraming(),
  request: (operation) => ({
    xid: operation.number,
    program: 1,
    version: 1,
    procedure: operation.writes ? 2 : 1,
    authentication: Buffer.alloc(16),
    args: Buffer.from(text(operation)),
  }),
  reply: ({ xid, args }) => rpcReply(xid, 0, args),
  words: (reply) => (reply.kind === "accepted" && reply.status === 0 ? textOf(reply.results) : undefined),
  isWrite: ({ procedure }) => procedure === 2,
  keyOf: ({ args }) => keyOfText(textOf(args)),
};

const msgpackRpc: Subject<MsgpackRpcRequest, MsgpackRpcReply> = {
  framing: msgpackRpcFraming(),
  request: (operation) => ({
    id: operation.number,
    method: operation.writes ? "put" : "get",
    params: packed(text(operation)),
  }),
  reply: ({ id = 0, params }) => ({ id, error: MSGPACK_NIL, result: params }),
  words: ({ error, result }) => (error[0] === 0xc0 ? textOf(result.subarray(1)) : undefined),
  isWrite: ({ method }) => method === "put",
  keyOf: ({ params }) => keyOfText(textOf(params.subarray(1))),
};

const prefixed = (options: Parameters<typeof lengthPrefixFraming>[0]) =>
  ofBytes(lengthPrefixFraming({ failure: () => Buffer.from(FAILED), ...options }), (line) =>
    Buffer.from(line),
  );

/** The types of the messages are each subject's own affair. */
// oxlint-disable-next-line typescript/no-explicit-any
export const SUBJECTS: Readonly<Record<string, Subject<any, any>>> = {
  http,
  resp,
  lines,
  "onc-rpc": oncRpc,
  msgpack: ofBytes(msgpackFraming({ failure: () => packed(FAILED) }), packed, 1),
  "msgpack-rpc": msgpackRpc,
  "length 1": prefixed({ sizeBytes: 1 }),
  "length 4 little-endian with header": prefixed({ sizeBytes: 4, littleEndian: true, includesHeader: true }),
  "length 8": prefixed({ sizeBytes: 8 }),
};
