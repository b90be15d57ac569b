/** A testbed in which the register services run, and its operator. */
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { exec, status, type TestbedStatus } from "@version-manager/testbed";
import { AgentClient, type NodeDigest } from "@version-manager/upgrade-agent";
import type { Protocol } from "./releases.ts";

export class Fleet {
  readonly #bed: TestbedStatus;

  private constructor(bed: TestbedStatus) {
    this.#bed = bed;
  }

  static async open(name: string): Promise<Fleet> {
    return new Fleet(await status({ name }));
  }

  get addresses(): readonly string[] {
    return this.#bed.nodes.map(({ address }) => address);
  }

  /** Runs `vm-upgrade` on node 1; throws with its words unless it ends with 0. */
  async operate(...words: readonly string[]): Promise<void> {
    const command = ["vm-upgrade", ...words];
    const at = { name: this.#bed.name, node: 1 };
    const { code, stdout, stderr } = await exec({ ...at, command, timeoutMs: 600_000 });
    if (code !== 0) throw new Error(`${command.join(" ")} ended with ${code}: ${stderr || stdout}`);
  }

  /** Waits until every node has this version of these services in a stage; throws when one failed, or when it takes long. */
  async until(
    protocols: readonly Protocol[],
    version: number,
    stage: string,
    timeoutMs = 300_000,
  ): Promise<void> {
    const deadlineMs = Date.now() + timeoutMs;
    let stages: string[] = [];
    do {
      const askedAt = performance.now();
      const digests = await this.digests();
      // Where answers take long, asking must not be most of what the machine does.
      const pauseMs = Math.max(200, 4 * (performance.now() - askedAt));
      const rows = digests.flatMap(({ node, versions }) =>
        protocols.map((protocol) => {
          const row = versions.find(
            (each) => each.service === `registers-${protocol}` && each.version === version,
          );
          return { node, protocol, stage: row?.stage, fault: row?.fault };
        }),
      );
      if (digests.length === this.#bed.nodes.length && rows.every((row) => row.stage === stage)) return;
      stages = rows.map((row) => `${row.node} ${row.protocol} ${row.stage} ${row.fault?.message ?? ""}`);
      if (rows.some((row) => row.stage === "failed")) break;
      await sleep(pauseMs);
    } while (Date.now() < deadlineMs);
    throw new Error(`version ${version} is not ${stage} everywhere: ${stages.join("; ")}`);
  }

  /** One per node, in their order. */
  get agents(): readonly AgentClient[] {
    return this.directories.map(
      (directory) => new AgentClient(join(directory, "run/version-manager/agent.sock")),
    );
  }

  /** Host directories with the nodes' private paths below them. */
  get directories(): readonly string[] {
    return this.#bed.nodes.map(({ directory }) => directory);
  }

  /** What each node says of itself; one whose agent does not answer is left out. */
  async digests(): Promise<NodeDigest[]> {
    const answers = await Promise.allSettled(this.agents.map(async (agent) => agent.fleet()));
    return answers.flatMap((answer) => (answer.status === "fulfilled" ? (answer.value.nodes[0] ?? []) : []));
  }
}
