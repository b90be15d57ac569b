/**
 * How much a domain may send and receive, as rules for nftables. Pure. The bounds of the kernel data path (../kernel/bpf/
 * rate.h), except that the agent's SSH has a tenth of its own. Buckets are nftables' and are full after each change.
 */
import { GATEWAY, hostInterface } from "../kernel/addresses.ts";

export const RATES_TABLE = "version_manager_rates";
export const RATE_VERDICT = "rate_exceeded";

/** May pass at once, besides the second of its rate that nftables gives each bucket. */
const BURST_BYTES = 256 * 1024;
const SSH_BURST_BYTES = 64 * 1024;
/** One part in so many of the rate is the agent's SSH's. */
const SSH_SHARE = 10;
/** Before the domain gets its own address back, see chains.ts. */
const PRIORITY = 340;

/** What passes with `then`; the rest is counted by `counter` and dropped. Rules for one direction. */
function bounded(mbitPerS: number, ssh: string, then: string, counter: string): readonly string[] {
  const bytesPerS = mbitPerS * 125_000;
  const sshBytesPerS = bytesPerS / SSH_SHARE;
  return [
    `${ssh} limit rate ${sshBytesPerS} bytes/second burst ${SSH_BURST_BYTES} bytes ${then}`,
    `limit rate over ${bytesPerS - sshBytesPerS} bytes/second burst ${BURST_BYTES} bytes counter name ${counter} drop`,
  ];
}

/** At the beginning of the chain for what a domain sends; `checks` is the chain of what it is then asked. */
export function sendRules(mbitPerS: number | undefined, checks: string): readonly string[] {
  if (mbitPerS === undefined) return [];
  return bounded(mbitPerS, `ip daddr ${GATEWAY} tcp sport 22`, `goto ${checks}`, RATE_VERDICT);
}

/** Puts the bound of what a domain receives in place of an earlier one, or takes that away. */
export function receiveRuleset(slot: number, mbitPerS: number | undefined): string {
  const chain = `ip ${RATES_TABLE} to_s${slot}`;
  const counter = `s${slot}_${RATE_VERDICT}`;
  const hook = `{ type filter hook postrouting priority ${PRIORITY}; policy accept; }`;
  const whole = [`add table ip ${RATES_TABLE}`, `add counter ip ${RATES_TABLE} ${counter}`];
  const anew = [`add chain ${chain} ${hook}`, `flush chain ${chain}`];
  if (mbitPerS === undefined) {
    const without = [`delete chain ${chain}`, `delete counter ip ${RATES_TABLE} ${counter}`, ""];
    return [...whole, ...anew, ...without].join("\n");
  }
  const rules = [
    `oifname != "${hostInterface(slot)}" accept`,
    ...bounded(mbitPerS, `ip saddr ${GATEWAY} tcp dport 22`, "accept", counter),
  ];
  return [...whole, ...anew, ...rules.map((rule) => `add rule ${chain} ${rule}`), ""].join("\n");
}
