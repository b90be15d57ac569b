/** `vm-upgrade testbed`: a fleet on one machine. */
import { mkdtemp, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import {
  attach,
  down,
  kill,
  list,
  status,
  up,
  type KillTarget,
  type TestbedStatus,
} from "@version-manager/testbed";
import type { CommandModule } from "yargs";
import { AgentError } from "../../errors.ts";
import { generateFleetKey } from "../../trust/index.ts";
import { jsonOption, print } from "../options.ts";
import { table } from "../screen/table.ts";

const nameOption = { name: { type: "string", default: "default", describe: "Name of the testbed" } } as const;

interface Named {
  readonly name: string;
  readonly json: boolean;
}

interface UpOptions extends Named {
  readonly nodes: number;
  readonly rate: number;
  readonly ipv6: boolean;
  readonly hypervisor: "auto" | "kvm" | "qemu" | "xen" | "lxc";
}

function statusLines(bed: TestbedStatus): string[] {
  const rows = bed.nodes.map((node) => [
    node.name,
    node.address,
    node.netns,
    ...node.services.map((service) => `${service.name} ${service.ready ? "ready" : service.state}`),
  ]);
  return [
    `testbed ${bed.name}: ${bed.state}, links of ${bed.rateMbit} Mbit/s, clients in ${bed.clientNetns}`,
    ...table(rows),
  ];
}

/** A testbed trusts a key made for it; the private one lies on its first node alone. */
async function keyOfItsOwn(): Promise<{ trustedKeys: string[]; fleetKey: string }> {
  const directory = await mkdtemp(join(tmpdir(), "vm-testbed-key-"));
  try {
    const made = await generateFleetKey(join(directory, "fleet.key"));
    const read = (file: string) => readFile(file, "utf8");
    return { trustedKeys: [await read(made.publicKeyFile)], fleetKey: await read(made.privateKeyFile) };
  } finally {
    await rm(directory, { recursive: true, force: true });
  }
}

const upCommand: CommandModule<object, UpOptions> = {
  command: "up",
  describe: "Make nodes from network namespaces, each with an agent, a router and libvirt",
  builder: (yargs) =>
    yargs
      .options({ ...jsonOption, ...nameOption })
      .option("nodes", { type: "number", default: 3, describe: "How many nodes" })
      .option("rate", { type: "number", default: 1000, describe: "Rate of every link, Mbit/s" })
      .option("ipv6", { type: "boolean", default: false, describe: "Nodes and domains have IPv6 as well" })
      .option("hypervisor", {
        choices: ["auto", "kvm", "qemu", "xen", "lxc"] as const,
        default: "auto" as const,
        describe: "What domains run on; auto proves by booting",
      })
      .example("$0 testbed up --nodes 3", "")
      .example("$0 testbed up --hypervisor lxc --rate 100", "containers, links of 100 Mbit/s"),
  handler: async ({ name, nodes, rate, ipv6, hypervisor, json }) => {
    const { trustedKeys, fleetKey } = await keyOfItsOwn();
    const onProgress = (step: string) => process.stderr.write(`${step}\n`);
    const interrupted = new AbortController();
    for (const signal of ["SIGINT", "SIGTERM"] as const) process.once(signal, () => interrupted.abort());
    await up({
      name,
      nodes,
      hypervisor,
      rateMbit: rate,
      ipv6,
      onProgress,
      signal: interrupted.signal,
      trustedKeys,
      fleetKey,
    });
    const bed = await status({ name });
    print(json, bed, () => [...statusLines(bed), "", "next    vm-upgrade testbed exec n1 vm-upgrade status"]);
  },
};

const downCommand: CommandModule<object, Named> = {
  command: "down",
  describe: "Remove everything of a testbed, also a half made one",
  builder: (yargs) => yargs.options({ ...jsonOption, ...nameOption }).example("$0 testbed down", ""),
  handler: async ({ name, json }) => {
    await down({ name });
    print(json, { name, state: "down" }, () => [`testbed ${name} is gone`]);
  },
};

const statusCommand: CommandModule<object, Named> = {
  command: "status",
  describe: "Show a testbed and its services",
  builder: (yargs) => yargs.options({ ...jsonOption, ...nameOption }),
  handler: async ({ name, json }) => {
    const bed = await status({ name });
    print(json, bed, () => statusLines(bed));
  },
};

const listCommand: CommandModule<object, { readonly json: boolean }> = {
  command: "list",
  describe: "Names of the testbeds on this machine",
  builder: (yargs) => yargs.options(jsonOption),
  handler: ({ json }) => print(json, list(), list),
};

interface ExecOptions extends Named {
  readonly place: string;
}

/** `words` is what stands behind the place; see `../foreign-words.ts`. */
function execCommand(words: readonly string[]): CommandModule<object, ExecOptions> {
  return {
    command: "exec <place>",
    describe: "Run a command on a node (n1, n2, …) or in the client namespace (client)",
    builder: (yargs) =>
      yargs
        .positional("place", { type: "string", demandOption: true })
        .options({ ...jsonOption, ...nameOption })
        .usage("$0 testbed exec [options] <place> [--] <command> [words…]")
        .example("$0 testbed exec n1 -- vm-upgrade status --json", "")
        .example("$0 testbed exec client -- curl http://10.77.0.1/health", ""),
    handler: async ({ name, place }) => {
      if (words.length === 0) throw new AgentError("E_USAGE", `Name the command to run on ${place}.`);
      process.exitCode = await attach({ name, node: place as "client", command: words });
    },
  };
}

interface KillOptions extends Named {
  readonly place: string;
  readonly what: KillTarget;
}

const killCommand: CommandModule<object, KillOptions> = {
  command: "kill <place> <what>",
  describe: "kill -9 a service of a node; the node's supervisor starts it again",
  builder: (yargs) =>
    yargs
      .positional("place", { type: "string", demandOption: true })
      .positional("what", { choices: ["agent", "router", "libvirtd", "proxy"] as const, demandOption: true })
      .options({ ...jsonOption, ...nameOption })
      .example("$0 testbed kill n2 router", ""),
  handler: async ({ name, place, what, json }) => {
    const killed = await kill({ name, node: place as "client", what });
    if (killed.length === 0) throw new AgentError("E_NO_VERSION", `No ${what} runs on ${place}.`);
    print(json, { killed }, () => [`killed ${what} of ${place} (pid ${killed.join(", ")})`]);
  },
};

/** `foreignWords` is the command line for a node, when there is one. */
export const testbedCommand = (foreignWords: readonly string[]): CommandModule => ({
  command: "testbed",
  describe: "A fleet on one machine, for trying, testing and measuring",
  builder: (yargs) =>
    yargs
      .command(upCommand)
      .command(downCommand)
      .command(statusCommand)
      .command(listCommand)
      .command(execCommand(foreignWords))
      .command(killCommand)
      .demandCommand(1, "Name what to do: up, down, status, list, exec or kill."),
  handler: () => {},
});
