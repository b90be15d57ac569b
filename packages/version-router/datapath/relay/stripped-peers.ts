/** Peers whose SYN-ACKs have lost their option: nftables' rules keep them in a set, for ten minutes after the last. */
import { run } from "../kernel/command.ts";
import { STRIPPED_SET, TABLE } from "./chains.ts";
import { OF_OPTION_MASK } from "./firewall-marks.ts";
import { STRIPPED_SECONDS } from "./ruleset.ts";
import { domainAt } from "./state.ts";
import type { StrippedPeer } from "./listing.ts";
import type { RelayState } from "./state.ts";

interface Element {
  readonly elem: {
    readonly val: { readonly concat: readonly [string, number] };
    readonly expires: number;
    readonly counter?: { readonly packets: number; readonly bytes: number };
  };
}

interface Listing {
  readonly nftables: readonly { readonly set?: { readonly elem?: readonly Element[] } }[];
}

export async function strippedPeers(state: RelayState, nowMs: number): Promise<readonly StrippedPeer[]> {
  const text = await run("nft", ["-j", "list", "set", "ip", TABLE, STRIPPED_SET]);
  const { nftables } = JSON.parse(text) as Listing;
  return nftables
    .flatMap(({ set }) => set?.elem ?? [])
    .flatMap(({ elem }) => {
      const [address, mark] = elem.val.concat;
      const domain = domainAt(state, mark & ~OF_OPTION_MASK & 0xff);
      if (domain === undefined) return [];
      const { packets, bytes } = elem.counter ?? { packets: 1, bytes: 0 };
      return [
        { address, domain, packets, bytes, lastSeenMs: nowMs - (STRIPPED_SECONDS - elem.expires) * 1000 },
      ];
    });
}
