/** The vectors of docs/WIRE.md. The packets of the data path's tests are compared with the same bytes. */
import type { Mark } from "../../mark/mark.ts";

export interface GoldenVector {
  readonly mark: Mark;
  /** With a zero complement. */
  readonly udp: string;
  readonly tcp: string;
  readonly stream: string;
}

export const GOLDEN_TAGS: Readonly<Record<string, number>> = { kv: 0x44a9, cfs: 0xa90b, irislog: 0xcb5c };

export const GOLDEN: readonly GoldenVector[] = [
  {
    mark: { tag: 0x44a9, version: 2, advertisement: { version: 3, status: "available" } },
    udp: "565244a9100000022000000300000000",
    tcp: "fd105652100000022000000344a90000",
    stream: "565244a91000000220000003000034ff",
  },
  {
    mark: { tag: 0x44a9, version: 1, advertisement: { version: 1, status: "running" } },
    udp: "565244a9100000011000000100000000",
    tcp: "fd105652100000011000000144a90000",
    stream: "565244a9100000011000000100004502",
  },
  {
    mark: {
      tag: 0xa90b,
      version: 268_435_455,
      advertisement: { version: 268_435_455, status: "aborted" },
    },
    udp: "5652a90b1fffffff4fffffff00000000",
    tcp: "fd1056521fffffff4fffffffa90b0000",
    stream: "5652a90b1fffffff4fffffff000090a3",
  },
];
