/** Configuration of the agent: one JSON file, unknown keys refused, all faults told at once. */
import { readFileSync } from "node:fs";
import { isIPv4 } from "node:net";
import { z } from "zod";
import { AgentError } from "../errors.ts";

const address = z.string().refine(isIPv4, "must be an IPv4 address");
const port = z.number().int().min(1).max(65_535);

const schema = z.strictObject({
  /** Name of this node, part of the names of its domains. */
  node: z
    .string()
    .regex(/^[a-z0-9][a-z0-9-]{0,30}$/, "must be lower-case letters, digits and dashes, at most 31"),
  /** The address that clients and peers know this node by. */
  serviceAddress: address,
  /** Service addresses of other nodes to start from; more are learned. Default none. */
  peers: z.array(address).max(1_024).default([]),
  /** `auto` takes the best that a real boot proves. */
  hypervisor: z.enum(["auto", "kvm", "qemu", "xen", "lxc"]).default("auto"),
  /**
   * What domains of `xen` are. `pv` runs on every Xen; in `pvh` the processor itself holds the guest apart, which takes
   * VT-x or SVM with nested pages (`xl info` says `hap`).
   */
  xenGuest: z.enum(["pv", "pvh"]).default("pv"),
  libvirtSocket: z.string().default("/run/libvirt/libvirt-sock"),
  stateDirectory: z.string().default("/var/lib/version-manager"),
  cacheDirectory: z.string().default("/var/cache/version-manager/images"),
  runDirectory: z.string().default("/run/version-manager"),
  logDirectory: z.string().default("/var/log/version-manager"),
  /** Public keys that releases must be signed with, one PEM file each, named `*.pub`. */
  trustDirectory: z.string().default("/etc/version-manager/trust"),
  /** TCP port on the service address for other agents. */
  peerApiPort: port.default(4080),
  /** TCP port on the service address for BitTorrent. */
  swarmPort: port.default(4081),
  /** How often this agent asks one other for its view of the fleet, milliseconds, 100…600,000. Traffic grows as 1/x. */
  exchangeIntervalMs: z.number().int().min(100).max(600_000).default(2_000),
  /**
   * A version of a service that runs here already is normally learned from a mark. News of it that came by the
   * exchange of agents is acted on after this time, milliseconds, for services too quiet to carry marks.
   */
  exchangeHintDelayMs: z.number().int().min(0).max(3_600_000).default(30_000),
  /**
   * Images that nothing uses are removed, oldest first, while all images take more than this, MiB, 0…2³⁰. Raising it
   * costs that much disk; at 0 each version unpacks its image anew.
   */
  imageCacheMiB: z
    .number()
    .int()
    .min(0)
    .max(2 ** 30)
    .default(20_480),
  /** Younger ones stay whatever they take, hours, 0…8,760. */
  imageUnusedHoursMin: z.number().int().min(0).max(8_760).default(24),
  /**
   * What warm spares of virtual machines may take on disk, MiB, 0…2²⁰; one takes about 90. At 0 every domain is booted.
   * Raising it keeps spares for more sizes of domains.
   */
  spareMiB: z
    .number()
    .int()
    .min(0)
    .max(2 ** 20)
    .default(512),
  /**
   * No spare is made for so long after a domain was started, ms, 0…86,400,000, because making one boots a machine.
   * Lowering it makes the next start warm sooner, at the cost of whatever runs on the node meanwhile.
   */
  spareQuietMs: z.number().int().min(0).max(86_400_000).default(120_000),
});

export type AgentConfig = z.infer<typeof schema>;

export const defaultConfigFile = "/etc/version-manager/agent.json";

/** Throws E_CONFIG with every fault. */
export function parseConfig(text: string, origin: string): AgentConfig {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (error) {
    throw new AgentError("E_CONFIG", `${origin} is not JSON: ${(error as Error).message}.`, error);
  }
  const parsed = schema.safeParse(value);
  if (parsed.success) return parsed.data;
  const faults = parsed.error.issues.map((issue) => `${issue.path.join(".") || "(top)"}: ${issue.message}`);
  throw new AgentError("E_CONFIG", `${origin} has ${faults.length} fault(s): ${faults.join("; ")}.`);
}

export function loadConfig(file: string): AgentConfig {
  let text: string;
  try {
    text = readFileSync(file, "utf8");
  } catch (error) {
    throw new AgentError("E_CONFIG", `Cannot read ${file}; write one or name another with --config.`, error);
  }
  return parseConfig(text, file);
}
