/** The relay's rules for what a domain may send and receive. */
import t from "tap";
import { receiveRuleset, sendRules } from "../../../datapath/relay/rates.ts";
import { readCounter, tapRuleset } from "../../../datapath/relay/ruleset.ts";

t.test("nine tenths for all, one for the agent's SSH: together the rate", async (t) => {
  t.same(sendRules(8, "checks"), [
    "ip daddr 169.254.1.1 tcp sport 22 limit rate 100000 bytes/second burst 65536 bytes goto checks",
    "limit rate over 900000 bytes/second burst 262144 bytes counter name rate_exceeded drop",
  ]);
  for (const mbitPerS of [1, 3, 99_999, 100_000]) {
    const rates = sendRules(mbitPerS, "checks").map((rule) => Number(/(\d+) bytes\/second/.exec(rule)?.[1]));
    t.ok(rates.every(Number.isInteger));
    t.equal(
      rates.reduce((sum, rate) => sum + rate),
      mbitPerS * 125_000,
    );
  }
});

t.test("a bound is put in place of an earlier one, and leaves nothing when it goes", async (t) => {
  const anew = [
    "add table ip version_manager_rates",
    "add counter ip version_manager_rates s5_rate_exceeded",
    "add chain ip version_manager_rates to_s5 { type filter hook postrouting priority 340; policy accept; }",
    "flush chain ip version_manager_rates to_s5",
  ];
  t.same(receiveRuleset(5, 8).trim().split("\n"), [
    ...anew,
    'add rule ip version_manager_rates to_s5 oifname != "vm-s5" accept',
    "add rule ip version_manager_rates to_s5 ip saddr 169.254.1.1 tcp dport 22 limit rate 100000 bytes/second burst 65536 bytes accept",
    "add rule ip version_manager_rates to_s5 limit rate over 900000 bytes/second burst 262144 bytes counter name s5_rate_exceeded drop",
  ]);
  t.same(receiveRuleset(5, undefined).trim().split("\n"), [
    ...anew,
    "delete chain ip version_manager_rates to_s5",
    "delete counter ip version_manager_rates s5_rate_exceeded",
  ]);
});

t.test("a domain without a rate meets no rule about it", async (t) => {
  t.same(sendRules(undefined, "checks"), []);
  t.notMatch(tapRuleset(5, "10.0.0.1"), / limit rate /);
});

t.test("what both bounds drop is the domain's", async (t) => {
  const verdict = { slot: 5, verdict: "rate_exceeded" };
  t.same(readCounter("version_manager_s5", "rate_exceeded"), verdict);
  t.same(readCounter("version_manager_rates", "s5_rate_exceeded"), verdict);
});
