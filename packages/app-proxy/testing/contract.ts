/** What a test says about the versions behind a proxy, and about the order in which things happen. */
import type { ConnectionLimits, ProxyHandlers } from "../connection/contract.ts";

/** One server's end of a connection. */
export interface ServerSide {
  readonly version: number;
  send(bytes: Uint8Array): void;
  end(): void;
  /** Breaks the connection; bytes under way both ways are lost. */
  reset(): void;
}

/** A fake version's behaviour on one connection. */
export interface FakeServer {
  data(bytes: Buffer): void;
  /** The proxy ended its side. Default: the server ends its own. */
  end?(): void;
}

export interface HarnessOptions {
  readonly handlers: ProxyHandlers;
  /** Versions that run at the start. */
  readonly versions: readonly number[];
  /** Called for every connection to a version; "refuse" refuses it. */
  serve(side: ServerSide): FakeServer | "refuse";
  readonly limits?: Partial<ConnectionLimits>;
  /** Which of `count` streams that have something to deliver goes on, 0…count−1. Default: the oldest. */
  readonly choose?: (count: number) => number;
  /** How many of `bytes` bytes arrive at once, 1…bytes. Default: all. */
  readonly cut?: (bytes: number) => number;
}
