/** One whole upgrade inside an emulated machine, and what its report has to say. */
import type { Test } from "tap";
import type { Host } from "./machine.ts";

/** What `examples/test/registers/slow-upgrade.ts` tells at its end. */
interface Report {
  readonly hypervisor: string;
  readonly requests: number;
  readonly keys: number;
  readonly verdict: string;
  readonly faults: readonly string[];
  readonly story: Readonly<Record<string, { readonly start?: string; readonly stages: string }>>;
}

/** Milliseconds that all of it may take. */
const upgradeTimeoutMs = 3_400_000;

/** The agents choose by themselves, and have to choose `kind`; `start` is how each has to bring version 2 up. */
export async function upgradeInside(
  t: Test,
  host: Host,
  { kind, nodes, start }: { kind: "kvm" | "xen"; nodes: number; start: RegExp },
): Promise<void> {
  // The base is there, but not the link that says which is the newest; making that would ask Debian for a minute.
  const link = 'cd /var/cache/version-manager/images && ln -sfn "$(dirname */vmlinux)" current';
  const command = `${link} && cd /repository && node examples/test/registers/slow-upgrade.ts auto ${nodes}`;
  const onLine = (line: string): void => t.comment(line);
  const { status, output } = await host.run(command, { timeoutMs: upgradeTimeoutMs, onLine });
  t.equal(status, 0, "it comes to its end");
  const lines = output.trimEnd().split("\n");
  const report = JSON.parse(lines.findLast((line) => line.startsWith("{")) ?? "null") as Report | null;
  const whole = { nodes, upgraded: nodes, failed: 0, verdict: "linearizable", faults: [] };
  t.match(report, { hypervisor: kind, ...whole });
  t.match(lines.at(-2), /: upgraded (\d)\/\1 nodes to 2; \d+ client requests, 0 failed; \d+ s$/);
  t.ok((report?.requests ?? 0) > 100 * nodes, `${report?.requests} requests`);
  t.ok((report?.keys ?? 0) > 10 * nodes, `${report?.keys} keys were read back`);
  const stories = Object.values(report?.story ?? {});
  t.equal(stories.length, nodes);
  for (const story of stories) t.match(story.start, start);
}
