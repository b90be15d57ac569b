/** What the demonstration found, for people and as JSON. `docs/DEMO.md` documents the JSON. */
import type { NodeDigest } from "@version-manager/upgrade-agent";
import type { LoadFacts } from "./client-load.ts";
import type { DomainProof } from "./isolation.ts";

export interface StageTime {
  readonly stage: string;
  /** Milliseconds after the release was seeded. */
  readonly enteredAtMs: number;
  /** How long it lasted; absent for the last. */
  readonly lastedMs?: number;
}

export interface DemoReport {
  readonly schema: 1;
  readonly mode: "simultaneous" | "rolling";
  readonly hypervisor: string;
  readonly nodes: number;
  /** Nodes that ran version 2 at the end. */
  readonly upgraded: number;
  readonly requests: number;
  readonly failed: number;
  /** From seeding version 2 until it ran everywhere and version 1 was gone. */
  readonly seconds: number;
  /** What the clients said at the end. */
  readonly clients: LoadFacts;
  /** Acknowledged writes read back from version 2 alone, per node. */
  readonly verified: readonly { readonly node: string; readonly facts: LoadFacts }[];
  readonly isolation: readonly DomainProof[];
  /** Daemons killed with SIGKILL meanwhile. */
  readonly killed: readonly string[];
  readonly stages: Readonly<Record<string, readonly StageTime[]>>;
}

export function stageTimes(
  digests: readonly NodeDigest[],
  version: number,
  fromMs: number,
): DemoReport["stages"] {
  const entries = digests.map((node) => {
    const history = node.versions.find((row) => row.version === version)?.history ?? [];
    const times = history.map(({ stage, enteredAtMs }, index): StageTime => {
      const next = history[index + 1];
      const time = { stage, enteredAtMs: enteredAtMs - fromMs };
      return next === undefined ? time : { ...time, lastedMs: next.enteredAtMs - enteredAtMs };
    });
    return [node.node, times] as const;
  });
  return Object.fromEntries(entries);
}

/** The last line of the demonstration. */
export function lastLine(report: DemoReport): string {
  const { upgraded, nodes, requests, failed, seconds } = report;
  return `upgraded ${upgraded}/${nodes} nodes to 2; ${requests} client requests, ${failed} failed; ${seconds} s`;
}

export function summary(report: DemoReport): string[] {
  const lines = [
    `mode         ${report.mode}, hypervisor ${report.hypervisor}`,
    `clients      ${figures(report.clients)}`,
  ];
  if (report.killed.length > 0)
    lines.push(`killed       ${report.killed.join(", ")}, with SIGKILL, and restarted`);
  for (const proof of report.isolation) {
    const peers = [...new Set(proof.heard.map((peer) => peer.nodeID))].join(", ") || "nobody";
    const verdict = proof.onlyItsOwnKind ? "only of its own kind" : "NOT only of its own kind";
    lines.push(
      `isolation    ${proof.node} version ${proof.version} (moleculer ${proof.moleculer}) heard of ${peers}: ${verdict}`,
    );
  }
  for (const { node, facts } of report.verified)
    lines.push(`read back    ${node}, from version 2: ${figures(facts)}`);
  for (const [node, times] of Object.entries(report.stages)) {
    const longest = times
      .filter((time) => (time.lastedMs ?? 0) >= 500)
      .map((time) => `${time.stage} ${((time.lastedMs ?? 0) / 1000).toFixed(1)} s`);
    lines.push(`stages       ${node}: ${longest.join(", ")}`);
  }
  return lines;
}

/** Scalar facts of the load program, in its own words. */
function figures(facts: LoadFacts): string {
  return Object.entries(facts)
    .filter(([name, value]) => name !== "type" && (typeof value === "number" || typeof value === "string"))
    .map(
      ([name, value]) => `${name} ${typeof value === "number" ? Math.round(value * 10) / 10 : String(value)}`,
    )
    .join(", ");
}
