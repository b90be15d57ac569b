/**
 * A live upgrade in virtual machines on real KVM, in an emulated machine that has it. Half an hour on two cores when
 * they have nothing else to do; needs root and 6 GiB.
 */
import t from "tap";
import type { Report } from "../whole/demonstration.ts";
import { skip, startKvmHost } from "./host/kvm.ts";

t.setTimeout(3_600_000);

/** Two nodes, because everything that runs on a node is emulated as well. */
const words = "--json --hypervisor kvm --nodes 2 --rate 4";

t.test("a live upgrade on real KVM", { skip }, async (t) => {
  const { host } = await startKvmHost(t);
  const command = `cd /repository && node scripts/dist/demonstration/main.js ${words}`;
  const onLine = (line: string): void => t.comment(line);
  const { status, output } = await host.run(command, { timeoutMs: 3_400_000, onLine });
  t.equal(status, 0, "the demonstration succeeds");
  const line = output.split("\n").find((text) => text.startsWith("{")) ?? "null";
  const report = JSON.parse(line) as Report | null;
  t.match(report, { hypervisor: "kvm", nodes: 2, upgraded: 2, failed: 0 });
  t.ok((report?.requests ?? 0) > 100, `${report?.requests} requests`);
  t.ok(report?.isolation.every((proof) => proof.onlyItsOwnKind));
  t.ok(report?.verified.every(({ facts }) => facts.keys > 10 && facts.failed === 0));
});
