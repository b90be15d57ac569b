/** What the agent's thread and the swarm's thread say to each other. All of it is plain data. */
import type { AgentErrorCode } from "../errors.ts";
import type { Download } from "./contract.ts";

export interface SwarmOptions {
  /** IPv4 address of this node: listened on, and the source of every connection to a peer. */
  readonly host: string;
  /** TCP port, 0 for any. */
  readonly port: number;
  /** Addresses that may be peers, see `setAllowedPeers`. Default none. */
  readonly allowedPeers?: readonly string[];
  /** Connections per torrent; 1…500, default 40. Each costs about 100 KiB while data flows. */
  readonly connectionsMax?: number;
  /** Bytes per second over all torrents; default no limit. */
  readonly downloadBytesPerSecond?: number;
  readonly uploadBytesPerSecond?: number;
  /** Milliseconds between two tries of peers that are not connected while a download lasts; default 2,000. */
  readonly retryIntervalMs?: number;
  /** Milliseconds between two reports of progress; default 250. */
  readonly progressIntervalMs?: number;
}

export type Command =
  | { readonly type: "createTorrent"; readonly file: string; readonly name: string }
  | { readonly type: "seed"; readonly torrent: Uint8Array; readonly file: string }
  | {
      readonly type: "download";
      readonly torrent: Uint8Array;
      readonly infohash: string;
      readonly file: string;
      readonly peers: readonly string[];
    }
  | { readonly type: "addPeers"; readonly infohash: string; readonly peers: readonly string[] }
  | { readonly type: "setAllowedPeers"; readonly addresses: readonly string[] }
  | { readonly type: "remove"; readonly infohash: string }
  | { readonly type: "close" };

export interface Request {
  readonly id: number;
  readonly command: Command;
}

/** What `createTorrent` answers; the other commands answer nothing. */
export interface Made {
  readonly torrent: Uint8Array;
  readonly infohash: string;
}

export type Reply =
  | { readonly type: "ready"; readonly port: number }
  | { readonly type: "unable"; readonly error: PlainError }
  | { readonly type: "done"; readonly id: number; readonly result: Made | undefined }
  | { readonly type: "failed"; readonly id: number; readonly error: PlainError }
  | { readonly type: "progress"; readonly downloads: readonly Download[] };

/** An error as it crosses from thread to thread: classes do not survive that. */
export interface PlainError {
  readonly code: AgentErrorCode;
  readonly message: string;
}
