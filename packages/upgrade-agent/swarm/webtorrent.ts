/** The part of webtorrent 3 that we use, typed; the package ships no types. Checked against 3.0.21. */
import type { EventEmitter } from "node:events";
// @ts-expect-error no types are shipped, the constructor below is what we know of it
import untyped from "webtorrent";

export interface ChunkStore {
  readonly chunkLength: number;
  put(index: number, chunk: Uint8Array, done: (error: Error | null) => void): void;
  get(
    index: number,
    options: { readonly offset?: number; readonly length?: number } | null,
    done: (error: Error | null, chunk?: Uint8Array) => void,
  ): void;
  close(done: (error: Error | null) => void): void;
  destroy(done: (error: Error | null) => void): void;
}

export interface Wire {
  readonly remoteAddress?: string;
  readonly ut_pex?: { addPeer(peer: string): void; dropPeer(peer: string): void; start(): void };
  once(event: "close", listener: () => void): void;
}

export interface Torrent extends EventEmitter {
  /** Bytes here, the parts of unfinished pieces included. */
  readonly downloaded: number;
  readonly done: boolean;
  readonly destroyed: boolean;
  readonly wires: readonly Wire[];
  /** `address:port`; false when it is blocked, malformed or known. */
  addPeer(peer: string): boolean;
  destroy(options: { readonly destroyStore: boolean }, done: () => void): void;
}

export interface ClientOptions {
  readonly torrentPort: number;
  readonly dht: false;
  readonly tracker: false;
  readonly lsd: false;
  readonly natUpnp: false;
  readonly natPmp: false;
  readonly utp: false;
  readonly utPex: boolean;
  readonly webSeeds: false;
  /** 0: no protocol encryption. It hides nothing from whoever looks, and costs time. */
  readonly secure: 0;
  readonly maxConns: number;
  /** Bytes per second, -1 for no limit. */
  readonly downloadLimit: number;
  readonly uploadLimit: number;
}

export interface TorrentOptions {
  readonly store: new (chunkLength: number) => ChunkStore;
  readonly storeCacheSlots: number;
  readonly strategy: "rarest" | "sequential";
}

export interface Client extends EventEmitter {
  /** Addresses for which it says true are neither connected to nor remembered. */
  blocked: { contains(address: string): boolean };
  readonly torrentPort: number;
  add(torrent: Uint8Array, options: TorrentOptions): Torrent;
  destroy(done: () => void): void;
}

export const WebTorrent = untyped as new (options: ClientOptions) => Client;
