/** Plain NAT for what domains send to no registered port: a table of nftables for each family, ours alone. */
import { INTERFACE_PREFIX, MANAGEMENT_NETWORK, MANAGEMENT_NETWORK6 } from "./addresses.ts";
import { run, succeeds } from "./command.ts";

const TABLE = "version_manager";

interface Family {
  readonly name: "ip" | "ip6";
  /** Where the management addresses of domains are. */
  readonly management: string;
  /** What must not leave the node. */
  readonly private: string;
}

const IPV4: Family = { name: "ip", management: MANAGEMENT_NETWORK, private: "169.254.0.0/16" };
const IPV6: Family = { name: "ip6", management: MANAGEMENT_NETWORK6, private: MANAGEMENT_NETWORK6 };

/** Makes or replaces the tables in one transaction. */
export async function addNat(uplink: string, hasIpv6: boolean): Promise<void> {
  const families = hasIpv6 ? [IPV4, IPV6] : [IPV4];
  await run("nft", ["-f", "-"], families.map((family) => ruleset(uplink, family)).join(""));
}

export async function removeNat(): Promise<void> {
  for (const { name } of [IPV4, IPV6]) await succeeds("nft", ["delete", "table", name, TABLE]);
}

/** Domains never reach each other, and no packet leaves under an address that exists only on this node. */
function ruleset(uplink: string, { name, management, private: hidden }: Family): string {
  return `
table ${name} ${TABLE}
delete table ${name} ${TABLE}
table ${name} ${TABLE} {
  chain source {
    type nat hook postrouting priority srcnat;
    ${name} saddr ${management} oifname != "${INTERFACE_PREFIX}*" masquerade
  }
  chain between {
    type filter hook forward priority filter;
    iifname "${INTERFACE_PREFIX}*" oifname "${INTERFACE_PREFIX}*" drop
    iifname != "${INTERFACE_PREFIX}*" oifname "${INTERFACE_PREFIX}*" ct state new drop
    iifname "${INTERFACE_PREFIX}*" ct state invalid drop
  }
  chain leaks {
    type filter hook postrouting priority 300;
    ${name} saddr ${hidden} oifname "${uplink}" drop
  }
}
`;
}
