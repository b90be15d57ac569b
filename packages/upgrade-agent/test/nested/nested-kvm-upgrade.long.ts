/**
 * A live upgrade in virtual machines on real KVM, in an emulated machine that has it: two nodes, whose agents choose KVM
 * by themselves, warm spares, clients of registers. Needs root and 6 GiB.
 */
import t from "tap";
import { skip, startKvmHost } from "./host/kvm.ts";

t.setTimeout(3_600_000);

/** What `examples/test/registers/slow-upgrade.ts` tells at its end. */
interface Report {
  readonly hypervisor: string;
  readonly requests: number;
  readonly keys: number;
  readonly verdict: string;
  readonly faults: readonly string[];
  readonly story: Readonly<Record<string, { readonly start?: string; readonly stages: string }>>;
}

t.test("a live upgrade on real KVM", { skip }, async (t) => {
  const { host } = await startKvmHost(t);
  // The base is there, but not the link that says which is the newest; making that would ask Debian for a minute.
  const link = 'cd /var/cache/version-manager/images && ln -sfn "$(dirname */vmlinux)" current';
  const command = `${link} && cd /repository && node examples/test/registers/slow-upgrade.ts auto`;
  const onLine = (line: string): void => t.comment(line);
  const { status, output } = await host.run(command, { timeoutMs: 3_400_000, onLine });
  t.equal(status, 0, "it comes to its end");
  const lines = output.trimEnd().split("\n");
  const report = JSON.parse(lines.findLast((line) => line.startsWith("{")) ?? "null") as Report | null;
  t.match(report, {
    hypervisor: "kvm",
    nodes: 2,
    upgraded: 2,
    failed: 0,
    verdict: "linearizable",
    faults: [],
  });
  t.match(lines.at(-2), /: upgraded 2\/2 nodes to 2; \d+ client requests, 0 failed; \d+ s$/);
  t.ok((report?.requests ?? 0) > 200, `${report?.requests} requests`);
  t.ok((report?.keys ?? 0) > 20, `${report?.keys} keys were read back`);
  const stories = Object.values(report?.story ?? {});
  t.equal(stories.length, 2);
  for (const { start } of stories) t.match(start, /cloned from a warm spare/);
});
