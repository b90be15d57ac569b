/** The options of `scripts/demo`. */
import { parseArgs } from "node:util";

export interface DemoOptions {
  readonly nodes: number;
  readonly hypervisor: "auto" | "kvm" | "qemu" | "xen" | "lxc";
  /** Replace version 1 in place, node by node, as it is done without Version Manager. */
  readonly rolling: boolean;
  /** Kill agents and routers with SIGKILL while the fleet upgrades. */
  readonly kill: boolean;
  readonly json: boolean;
  /** Leave the testbed up at the end. */
  readonly keep: boolean;
  /** Requests per second of all clients together. */
  readonly rate: number;
}

export const help = `scripts/demo [options]

Upgrades a fleet of nodes on this machine, under client load, from version 1 of a replicated key-value service on
moleculer 0.14 to version 2 on moleculer 0.15; the two cannot talk to each other. Ends with a line like
"upgraded 3/3 nodes to 2; 4213 client requests, 0 failed; 74 s". Exit status 0 when nothing failed.

  --nodes N            how many nodes (3)
  --hypervisor KIND    auto, qemu, lxc, kvm or xen (auto: the best that a real boot proves)
  --rate N             client requests per second, all nodes together (60)
  --kill               kill an agent and a router with SIGKILL while the fleet upgrades
  --rolling            the ordinary way instead: version 1 is replaced in place, node by node
  --keep               leave the testbed up at the end
  --json               one JSON value on standard output, see docs/DEMO.md; progress goes to standard error

  scripts/demo                         upgrade three nodes live
  scripts/demo --hypervisor lxc --kill containers, and daemons killed meanwhile
  scripts/demo --rolling               what it looks like without Version Manager`;

const hypervisors = ["auto", "kvm", "qemu", "xen", "lxc"] as const;

/** Throws RangeError with a sentence for people. */
export function parseOptions(words: readonly string[]): DemoOptions | "help" {
  const { values } = parseArgs({
    args: [...words],
    options: {
      nodes: { type: "string", default: "3" },
      hypervisor: { type: "string", default: "auto" },
      rate: { type: "string", default: "60" },
      rolling: { type: "boolean", default: false },
      kill: { type: "boolean", default: false },
      json: { type: "boolean", default: false },
      keep: { type: "boolean", default: false },
      help: { type: "boolean", default: false },
    },
  });
  if (values.help) return "help";
  const hypervisor = hypervisors.find((kind) => kind === values.hypervisor);
  if (hypervisor === undefined) throw new RangeError(`--hypervisor is one of ${hypervisors.join(", ")}.`);
  const { rolling, kill, json, keep } = values;
  const nodes = whole("nodes", values.nodes, 2, 16);
  return { nodes, hypervisor, rolling, kill, json, keep, rate: whole("rate", values.rate, 1, 10_000) };
}

function whole(name: string, text: string, least: number, most: number): number {
  const value = Number(text);
  if (Number.isInteger(value) && value >= least && value <= most) return value;
  throw new RangeError(`--${name} is a whole number from ${least} to ${most}, not ${text}.`);
}
