/** Plain NAT for what domains send to no registered port: one table of nftables, ours alone. */
import { INTERFACE_PREFIX, MANAGEMENT_NETWORK } from "./addresses.ts";
import { run, succeeds } from "./command.ts";

const TABLE = "version_manager";

/** Makes or replaces the table in one transaction. */
export async function addNat(uplink: string): Promise<void> {
  await run("nft", ["-f", "-"], ruleset(uplink));
}

export async function removeNat(): Promise<void> {
  await succeeds("nft", ["delete", "table", "ip", TABLE]);
}

/** Domains never reach each other, and no packet leaves under an address that exists only on this node. */
function ruleset(uplink: string): string {
  return `
table ip ${TABLE}
delete table ip ${TABLE}
table ip ${TABLE} {
  chain source {
    type nat hook postrouting priority srcnat;
    ip saddr ${MANAGEMENT_NETWORK} oifname != "${INTERFACE_PREFIX}*" masquerade
  }
  chain between {
    type filter hook forward priority filter;
    iifname "${INTERFACE_PREFIX}*" oifname "${INTERFACE_PREFIX}*" drop
    iifname != "${INTERFACE_PREFIX}*" oifname "${INTERFACE_PREFIX}*" ct state new drop
    iifname "${INTERFACE_PREFIX}*" ct state invalid drop
  }
  chain leaks {
    type filter hook postrouting priority 300;
    ip saddr 169.254.0.0/16 oifname "${uplink}" drop
  }
}
`;
}
