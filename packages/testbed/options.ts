/** What a testbed can be asked to be, with every default. */
import { fileURLToPath } from "node:url";
import { TestbedError } from "./errors.ts";
import { checkName, layoutOf } from "./layout.ts";
import type { Layout } from "./layout.ts";
import { libvirtdCommand } from "./libvirt/index.ts";

export type HypervisorChoice = "auto" | "kvm" | "qemu" | "xen" | "lxc";

/** The services of a node; tests put others in their place. `undefined` leaves a service out. */
export interface NodeCommands {
  readonly libvirtd: readonly string[] | undefined;
  readonly router: readonly string[] | undefined;
  readonly agent: readonly string[] | undefined;
}

export interface UpOptions {
  /** 1 to 16 of a-z and 0-9. Default `default`. */
  readonly name?: string;
  /** 1 to 64, default 3. Each takes about 180 MiB without its domains. */
  readonly nodes?: number;
  /** Rate of every link in each direction, Mbit/s, 1 to 100,000, default 1,000. */
  readonly rateMbit?: number;
  /** Nodes and client have an IPv6 address as well, fd10:77::1 and up, and so has every domain. Default false. */
  readonly ipv6?: boolean;
  /** What the agents run domains on; `auto` lets each agent probe. */
  readonly hypervisor?: HypervisorChoice;
  /** Public keys (PEM) that every node trusts releases of. */
  readonly trustedKeys?: readonly string[];
  /** Private key (PEM) with which node 1 may sign. */
  readonly fleetKey?: string;
  /** Fields put into every node's `agent.json` over those that the testbed writes. */
  readonly agentConfig?: Readonly<Record<string, unknown>>;
  /** Fields put into every node's `router.json` over those that the testbed writes. */
  readonly routerConfig?: Readonly<Record<string, unknown>>;
  readonly commands?: Partial<NodeCommands>;
  /** How long nodes may take until all their services are ready, ms, default 60,000. */
  readonly readyTimeoutMs?: number;
  /** Aborting before all is ready removes what there is; `up` then rejects with the signal's reason. */
  readonly signal?: AbortSignal;
  /** Called with the name of each step right before it is taken. */
  readonly onProgress?: (step: string) => void;
}

export interface Plan {
  readonly layout: Layout;
  readonly rateMbit: number;
  readonly ipv6: boolean;
  readonly hypervisor: HypervisorChoice;
  readonly commands: NodeCommands;
  /** Nodes run the real libvirtd. */
  readonly usesLibvirt: boolean;
  readonly readyTimeoutMs: number;
  readonly options: UpOptions;
}

/** Packages lie beside each other both in the workspace and when installed; `dist/` is one level deeper. */
const SIBLINGS = new URL(import.meta.url.endsWith(".ts") ? "../" : "../../", import.meta.url);

/** The product's commands, as every node has them on its search path. */
export const PROGRAMS = {
  "vm-upgrade": fileURLToPath(new URL("upgrade-agent/dist/cli/main.js", SIBLINGS)),
  "vm-router": fileURLToPath(new URL("version-router/dist/daemon/main.js", SIBLINGS)),
} as const;

export const RATE_MBIT_MAX = 100_000;

export function planOf(options: UpOptions): Plan {
  const {
    name = "default",
    nodes = 3,
    rateMbit = 1000,
    ipv6 = false,
    hypervisor = "auto",
    readyTimeoutMs = 60_000,
  } = options;
  checkName(name);
  if (!(rateMbit >= 1 && rateMbit <= RATE_MBIT_MAX)) {
    throw new TestbedError(
      "E_BAD_REQUEST",
      `The rate of links is 1 to ${RATE_MBIT_MAX} Mbit/s, not ${rateMbit}.`,
    );
  }
  const node = process.execPath;
  const commands: NodeCommands = {
    libvirtd: libvirtdCommand(),
    router: [node, PROGRAMS["vm-router"], "--config", "/etc/version-manager/router.json"],
    agent: [node, PROGRAMS["vm-upgrade"], "daemon", "--config", "/etc/version-manager/agent.json"],
    ...options.commands,
  };
  const usesLibvirt = options.commands === undefined || !("libvirtd" in options.commands);
  return {
    layout: layoutOf(name, nodes),
    rateMbit,
    ipv6,
    hypervisor,
    commands,
    usesLibvirt,
    readyTimeoutMs,
    options,
  };
}
