/** MessagePack, and MessagePack-RPC on it. */
export { MSGPACK_MESSAGE_BYTES_MAX, msgpackFraming, type MsgpackOptions } from "./framing.ts";
export { msgpackRpcFraming, type MsgpackRpcOptions } from "./rpc.ts";
export { MSGPACK_NIL, type MsgpackRpcReply, type MsgpackRpcRequest } from "./rpc-messages.ts";
