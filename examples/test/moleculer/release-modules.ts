/** The modules of the releases, which are plain JavaScript, with the types that the tests rely on. */
import type { Server } from "node:http";

export const RELEASES = ["v1", "v2"] as const;
export type Release = (typeof RELEASES)[number];

export interface Item {
  readonly key: string;
  readonly value: string;
  readonly timestamp: number;
  readonly node: string;
}

export interface Store extends Iterable<Item> {
  readonly size: number;
  get(key: string): Item | undefined;
  merge(item: Item): boolean;
  nextTimestamp(nowMs: number): number;
  timestampFrom(wished: number, key: string): number;
  digests(): string[];
  digest(): string;
  page(bucket: number, after: string | undefined, charactersMax: number): Item[];
}

export interface StoreModule {
  readonly BUCKETS: number;
  readonly Store: new (onChange?: (item: Item) => void) => Store;
}

export interface ItemLog {
  load(): Iterable<Item>;
  open(store: Store): void;
  append(item: Item, store: Store): void;
  close(): Promise<void>;
}

export interface LogModule {
  readonly ItemLog: new (directory: string) => ItemLog;
}

/** What the HTTP server needs of the replicas. */
export interface ClusterLike {
  readonly nodeID: string;
  readonly versions: object;
  readonly heard: { list(): object[] };
  live(): string[];
  replicate: (items: readonly Item[]) => Promise<void>;
}

export interface HttpServer {
  ready: boolean;
  listen(host: string, port: number): Promise<number>;
  drain(): void;
  close(): Promise<void>;
}

export interface ConnectionsModule {
  readonly Connections: new (server: Server) => { endIdle(idleMs: number, spare: readonly string[]): void };
}

export interface HttpModule {
  readonly HttpServer: new (
    store: Store,
    cluster: ClusterLike,
    config: {
      readonly release: { version: number; label: string };
      readonly hostAddresses: readonly string[];
    },
  ) => HttpServer;
}

export async function load<Module>(release: Release, file: string): Promise<Module> {
  return (await import(releaseFile(release, file).href)) as Module;
}

export function releaseFile(release: Release, file: string): URL {
  return new URL(`../../moleculer/${release}/${file}`, import.meta.url);
}
