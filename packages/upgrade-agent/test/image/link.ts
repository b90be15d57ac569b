/** Host ends of test domains' links, as the router makes them. All are named `vmim-…`. */
import { execFileSync } from "node:child_process";

export function ip(words: string): void {
  execFileSync("ip", words.split(" "), { stdio: ["ignore", "ignore", "pipe"] });
}

/** The host is the gateway on this interface, and the domain's address is behind it. */
export function leadTo(address: string, mac: string, host: string): void {
  ip(`addr add 169.254.1.1/32 dev ${host}`);
  ip(`link set ${host} up`);
  ip(`route add ${address}/32 dev ${host}`);
  // A question for the address that nobody answers yet would cost a second.
  ip(`neigh add ${address} lladdr ${mac} dev ${host}`);
}

/** A link that is gone is fine. */
export function removeLink(host: string): void {
  try {
    ip(`link delete ${host}`);
  } catch {
    // A container's end of it took it along.
  }
}
