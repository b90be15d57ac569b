/** The testbed of the demonstration, and its agents. */
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { exec, status, type TestbedStatus } from "@version-manager/testbed";
import { AgentClient, type NodeDigest, type NodeStatus } from "@version-manager/upgrade-agent";

export const testbedName = "demo";
export const service = "kv";
/** Between two looks at the fleet, ms. */
const lookMs = 250;

export class Fleet {
  readonly bed: TestbedStatus;

  private constructor(bed: TestbedStatus) {
    this.bed = bed;
  }

  static async open(): Promise<Fleet> {
    return new Fleet(await status({ name: testbedName }));
  }

  get urls(): string[] {
    return this.bed.nodes.map((node) => `http://${node.address}`);
  }

  /** The agent of a node, by its number from 1. */
  agent(node: number): AgentClient {
    const directory = this.bed.nodes[node - 1]?.directory ?? "";
    return new AgentClient(join(directory, "run/version-manager/agent.sock"));
  }

  /** `vm-upgrade seed` on the first node. */
  async seed(version: number, releases: { readonly tarballs: ReadonlyMap<number, string> }): Promise<void> {
    await this.command(1, ["vm-upgrade", "seed", releases.tarballs.get(version) ?? ""]);
  }

  /** Runs a command on a node as an operator would; throws with its words unless it ends with 0. */
  async command(node: number, command: readonly string[]): Promise<string> {
    const { code, stdout, stderr } = await exec({ name: testbedName, node, command, timeoutMs: 600_000 });
    if (code !== 0)
      throw new Error(`${command.join(" ")} on node ${node} ended with ${code}: ${stderr || stdout}`);
    return stdout;
  }

  /** What each node says of itself; a node whose agent is just restarting is left out. */
  async digests(): Promise<NodeDigest[]> {
    const answers = await Promise.allSettled(this.bed.nodes.map((_, index) => this.agent(index + 1).fleet()));
    return answers.flatMap((answer) => (answer.status === "fulfilled" ? (answer.value.nodes[0] ?? []) : []));
  }

  async statuses(): Promise<NodeStatus[]> {
    return Promise.all(this.bed.nodes.map((_, index) => this.agent(index + 1).status()));
  }

  /** Waits until every node has the version in this stage; throws when one failed or after `timeoutMs`. */
  async untilAll(
    version: number,
    stage: string,
    timeoutMs: number,
    onLook: (digests: readonly NodeDigest[]) => void,
  ): Promise<void> {
    const deadline = Date.now() + timeoutMs;
    for (;;) {
      const askedAt = performance.now();
      const digests = await this.digests();
      // Where answers take long, asking must not be most of what the machine does.
      const pauseMs = Math.max(lookMs, 4 * (performance.now() - askedAt));
      onLook(digests);
      const rows = digests.map((node) => node.versions.find((row) => row.version === version));
      if (digests.length === this.bed.nodes.length && rows.every((row) => row?.stage === stage)) return;
      const failed = digests.find((_, index) => rows[index]?.stage === "failed");
      if (failed !== undefined) {
        const fault = failed.versions.find((row) => row.version === version)?.fault;
        throw new Error(
          `Version ${version} failed on ${failed.node}: ${fault?.code ?? ""} ${fault?.message ?? ""}`,
        );
      }
      if (Date.now() > deadline) {
        throw new Error(`Version ${version} is not ${stage} on every node after ${timeoutMs / 1000} s.`);
      }
      await sleep(pauseMs);
    }
  }

  /** GET from a domain over its management address, from inside the node. */
  async get(node: number, managementAddress: string, path: string): Promise<unknown> {
    const script = `fetch(${JSON.stringify(`http://${managementAddress}${path}`)}).then((r) => r.text()).then((text) => console.log(text))`;
    const command = [process.execPath, "-e", script];
    const { stdout } = await exec({ name: testbedName, node, command, timeoutMs: 20_000 });
    return JSON.parse(stdout) as unknown;
  }
}
