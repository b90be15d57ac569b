/** RESP, the protocol of Redis and its kin. */
export { classifyResp } from "./commands.ts";
export { respFraming } from "./framing.ts";
export { respRequest, type RespRequest } from "./readers.ts";
export { DEFAULT_RESP_LIMITS, type RespLimits } from "./scan.ts";
export { respDecode, respEncode, RespError, type RespValue } from "./values.ts";
