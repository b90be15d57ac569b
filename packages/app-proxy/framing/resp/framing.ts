/** RESP 2 and 3 as the policies see them. */
import type { Framing } from "../contract.ts";
import { classifyResp, notCarried } from "./commands.ts";
import { comparableResp, describeResp } from "./comparable.ts";
import { RespReplyReader, RespRequestReader, type RespRequest } from "./readers.ts";
import { DEFAULT_RESP_LIMITS, type RespLimits } from "./scan.ts";
import { RespError, respEncode } from "./values.ts";

/** What a word costs in memory besides its bytes, about. */
const WORD_BYTES = 128;

/** Replies are the bytes of a value; `respDecode` looks into them. */
export function respFraming(limits: Partial<RespLimits> = {}): Framing<RespRequest, Uint8Array> {
  const all = { ...DEFAULT_RESP_LIMITS, ...limits };
  return {
    requestReader: () => new RespRequestReader(all),
    replyReader: () => new RespReplyReader(all),
    sizeOf: ({ words }) => words.reduce((sum, word) => sum + word.length + WORD_BYTES, 0),
    lengthOf: (reply) => reply.length,
    encodeRequest: ({ words }) => {
      const parts: Buffer[] = [Buffer.from(`*${words.length}\r\n`)];
      for (const word of words) parts.push(Buffer.from(`$${word.length}\r\n`), word, CRLF);
      return [Buffer.concat(parts)];
    },
    encodeReply: (reply) => [reply],
    failure: (kind, detail) => error(`${kind.toUpperCase()}: ${detail}`),
    refusal: (_status, why) => error(`Protocol error: ${why}`),
    classify: classifyResp,
    ownReply: (request) => {
      const why = notCarried(request);
      return why === undefined ? undefined : error(why);
    },
    isSuccess: (reply) => !isError(reply),
    isFound: (reply) => !isError(reply) && !isEmpty(reply),
    comparable: comparableResp,
    describe: describeResp,
    isLastRequest: ({ name }) => name === "QUIT",
  };
}

const CRLF = Buffer.from("\r\n");

function error(why: string): Buffer {
  return respEncode(new RespError(`ERR ${why}`));
}

function isError(reply: Uint8Array): boolean {
  return reply[0] === 0x2d || reply[0] === 0x21;
}

/** What a version replies that has nothing under the key; TTL says -2. An older one may have it still. */
const EMPTY: ReadonlySet<string> = new Set([
  "$-1",
  "*-1",
  "_",
  "*0",
  "~0",
  "%0",
  ":0",
  ":-2",
  "$0",
  "#f",
  "+none",
]);

function isEmpty(reply: Uint8Array): boolean {
  if (reply.length > 9) return false;
  const text = Buffer.from(reply).toString("latin1");
  return EMPTY.has(text.slice(0, text.indexOf("\r\n")));
}
