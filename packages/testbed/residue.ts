/**
 * What of testbeds and of the product is on this machine right now, as the host sees it. Compared before and after, it
 * shows what was left behind; it changes nothing.
 */
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { listGroups } from "./cgroups.ts";
import { runAny } from "./command.ts";
import { listNetns } from "./down.ts";
import { prefixOf, STATE_ROOT } from "./layout.ts";
import { allProcesses, commandLine, isAlive } from "./processes.ts";
import { testbedOf } from "./state.ts";
import type { Command } from "./wire/plan.ts";

export type ResidueKind =
  | "netns"
  | "link"
  | "tc-filter"
  | "bpf-pin"
  | "bpf-program"
  | "bpf-map"
  | "domain"
  | "process"
  | "mount"
  | "cgroup"
  | "directory"
  | "nft-table";

export interface ResidueEntry {
  readonly kind: ResidueKind;
  /** Name, path or number by which one finds it. */
  readonly what: string;
  /** Name of the testbed that it belongs to, where that can be told. */
  readonly testbed?: string;
}

/** Interfaces that the router makes for domains, and anything a testbed might leave in the host's namespace. */
const LINK_NAMES = /^(vm-|vnet\d|uplink$|wire$)/;

/** Names of the data path's eBPF programs and of its maps, as in `router.bpf.c` and `maps.h`. */
export const BPF_NAMES =
  /^(tap_ingress|tap_egress|uplink_ingress|config|slots|interfaces|domains|services|ports|buckets|flows|tentative|heard|counters|peer_counters|tracing|trace_packet|trace_lost|trace_queue|managed)$/;

const NFT_TABLES = /version.manager/;

/** Directories whose entries are ours. */
const DIRECTORIES = ["/run/version-manager", "/var/lib/version-manager", STATE_ROOT];

/** Programs that nodes run, by the base name of what was executed. */
const PROGRAMS = /^(libvirtd|libvirt_lxc|qemu-system-.*|dropbear|dbclient|vm-router|vm-upgrade)$/;

/** Our own programs as Node runs them. */
const SCRIPTS =
  /(version-router\/.*daemon\/main|upgrade-agent\/.*cli\/main\.\w+ daemon|app-proxy\/.*host|node\/init)\b/;

async function json<Shape>(command: Command, fallback: Shape): Promise<Shape> {
  const { code, stdout } = await runAny(command).catch(() => ({ code: 1, stdout: "" }));
  return code === 0 && stdout.trim() !== "" ? (JSON.parse(stdout) as Shape) : fallback;
}

function entry(kind: ResidueKind, what: string, testbed?: string): ResidueEntry {
  return testbed === undefined ? { kind, what } : { kind, what, testbed };
}

function entriesOf(directory: string): string[] {
  return existsSync(directory) ? readdirSync(directory) : [];
}

function processes(): ResidueEntry[] {
  const found: ResidueEntry[] = [];
  for (const pid of allProcesses()) {
    const command = commandLine(pid);
    const [executable = ""] = command.split(" ");
    const group = cgroupOf(pid);
    const program = executable.slice(executable.lastIndexOf("/") + 1);
    if (group === undefined && !PROGRAMS.test(program) && !SCRIPTS.test(command)) continue;
    if (pid !== process.pid && isAlive(pid))
      found.push(entry("process", `${pid} ${command.slice(0, 120)}`, group));
  }
  return found;
}

/** Testbed in one of whose control groups the process is. */
function cgroupOf(pid: number): string | undefined {
  try {
    const text = readFileSync(`/proc/${pid}/cgroup`, "utf8");
    const group = text
      .split("\n")
      .map((line) => line.split(":/")[1] ?? "")
      .find((path) => path.startsWith(prefixOf()));
    return group === undefined ? undefined : testbedOf(group);
  } catch {
    return undefined;
  }
}

async function links(): Promise<ResidueEntry[]> {
  const all = await json<{ readonly ifname?: string }[]>(["ip", "-json", "link", "show"], []);
  return all
    .filter(({ ifname = "" }) => LINK_NAMES.test(ifname))
    .map(({ ifname = "" }) => entry("link", ifname));
}

interface BpfObject {
  readonly id: number;
  readonly name?: string;
}

async function bpf(): Promise<ResidueEntry[]> {
  const programs = await json<BpfObject[]>(["bpftool", "--json", "prog", "show"], []);
  const maps = await json<BpfObject[]>(["bpftool", "--json", "map", "show"], []);
  const net = await json<{ readonly tc?: { readonly devname: string; readonly name?: string }[] }[]>(
    ["bpftool", "--json", "net", "show"],
    [],
  );
  const ours = ({ name = "" }: { readonly name?: string }): boolean => BPF_NAMES.test(name);
  return [
    ...programs.filter(ours).map(({ id, name }) => entry("bpf-program", `${id} ${name}`)),
    ...maps.filter(ours).map(({ id, name }) => entry("bpf-map", `${id} ${name}`)),
    ...net.flatMap(({ tc = [] }) =>
      tc.filter(ours).map(({ devname, name }) => entry("tc-filter", `${devname} ${name}`)),
    ),
    ...entriesOf("/sys/fs/bpf/version-manager").map((pin) =>
      entry("bpf-pin", `/sys/fs/bpf/version-manager/${pin}`),
    ),
  ];
}

async function domains(): Promise<ResidueEntry[]> {
  if (!existsSync("/run/libvirt/libvirt-sock")) return [];
  const found: ResidueEntry[] = [];
  for (const uri of ["qemu:///system", "lxc:///system"]) {
    const { stdout } = await runAny(["virsh", "--connect", uri, "list", "--all", "--name"], {
      timeoutMs: 20_000,
    }).catch(() => ({ stdout: "" }));
    for (const name of stdout.split("\n"))
      if (name.trim() !== "") found.push(entry("domain", `${uri} ${name.trim()}`));
  }
  return found;
}

function mounts(): ResidueEntry[] {
  const points = readFileSync("/proc/self/mountinfo", "utf8")
    .split("\n")
    .map((line) => line.split(" ")[4] ?? "");
  return points
    .filter((point) => point.includes("version-manager"))
    .map((point) => entry("mount", point, new RegExp(`^${STATE_ROOT}/([a-z0-9]+)`).exec(point)?.[1]));
}

async function nftTables(): Promise<ResidueEntry[]> {
  interface Listing {
    readonly nftables: { readonly table?: { readonly family: string; readonly name: string } }[];
  }
  const { nftables } = await json<Listing>(["nft", "--json", "list", "tables"], { nftables: [] });
  return nftables.flatMap(({ table }) =>
    table !== undefined && NFT_TABLES.test(table.name)
      ? [entry("nft-table", `${table.family} ${table.name}`)]
      : [],
  );
}

/** Looks in the host's namespaces; what only exists inside a node is found by the node's own namespaces and processes. */
export async function residue(): Promise<ResidueEntry[]> {
  const directories = DIRECTORIES.flatMap((directory) =>
    entriesOf(directory).map((name) =>
      entry("directory", `${directory}/${name}`, directory === STATE_ROOT ? name : undefined),
    ),
  );
  return [
    ...listNetns(prefixOf()).map((netns) => entry("netns", netns, testbedOf(netns))),
    ...(await links()),
    ...(await bpf()),
    ...(await domains()),
    ...processes(),
    ...mounts(),
    ...(await listGroups(prefixOf())).map((path) =>
      entry("cgroup", path, testbedOf(path.slice(path.lastIndexOf("/") + 1))),
    ),
    ...directories,
    ...(await nftTables()),
  ];
}
