/** HTTP/1.1 framing. */
export { classifyHttp, DEFAULT_HTTP_LIMITS, httpFraming, plainReply } from "./framing.ts";
export { headerOf, tokensOf, type HttpHeader, type HttpReply, type HttpRequest } from "./message.ts";
export { HttpReplyReader, HttpRequestReader, type HttpLimits } from "./readers.ts";
