/**
 * A live upgrade in virtual machines on real KVM, in an emulated machine that has it: two nodes, whose agents choose KVM
 * by themselves, warm spares, clients of registers. Needs root and 6 GiB.
 */
import t from "tap";
import { skip, startKvmHost } from "./host/kvm.ts";
import { upgradeInside } from "./host/upgrade.ts";

t.setTimeout(3_600_000);

t.test("a live upgrade on real KVM", { skip }, async (t) => {
  const { host } = await startKvmHost(t);
  await upgradeInside(t, host, { kind: "kvm", nodes: 2, start: /cloned from a warm spare/ });
});
