/** ONC RPC over TCP. */
export { oncRpcFraming, RPC_FRAGMENTS_MAX, RPC_RECORD_BYTES_MAX, type OncRpcOptions } from "./framing.ts";
export { RPC_SUCCESS, RPC_SYSTEM_ERROR, rpcReply, type RpcCall, type RpcReply } from "./messages.ts";
