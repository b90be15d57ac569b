/** What the programs and their packets hold of the kernel's memory. As root; the rest of the machine is in some of it. */
import { existsSync, readFileSync, readdirSync } from "node:fs";
import { join } from "node:path";
import { LAYOUT } from "../../../datapath/kernel/structs.ts";
import { sh } from "../lab.ts";

const SLABS = "/proc/slabinfo";
/** Headers of packets: each packet under way, forgotten or not, has one. */
const PACKET_CACHES = ["skbuff_head_cache", "skbuff_fclone_cache"];
const UNRECLAIMABLE = ["SUnreclaim", "Percpu"];

export interface KernelMemory {
  /** Bytes of each pinned map and program, by name. Of this node alone. */
  readonly objects: Readonly<Record<string, number>>;
  /** Packets of the whole machine; undefined where the kernel does not tell. */
  readonly packets: number | undefined;
  /** Bytes that the kernel could not give back, of the whole machine. */
  readonly unreclaimableBytes: number;
}

export function kernelMemory(pinDirectory: string): KernelMemory {
  const layout = join(pinDirectory, `layout-${LAYOUT}`);
  return {
    objects: { ...bytesOf("map", join(layout, "maps")), ...bytesOf("prog", join(layout, "programs")) },
    packets: packets(),
    unreclaimableBytes: unreclaimableBytes(),
  };
}

function bytesOf(kind: "map" | "prog", directory: string): Record<string, number> {
  const sizes = readdirSync(directory).map((name) => {
    const told = JSON.parse(sh("bpftool", "-j", kind, "show", "pinned", join(directory, name))) as {
      bytes_memlock: number;
    };
    return [name, told.bytes_memlock] as const;
  });
  return Object.fromEntries(sizes);
}

function packets(): number | undefined {
  if (!existsSync(SLABS)) return undefined;
  const lines = readFileSync(SLABS, "utf8").split("\n");
  const counts = lines.flatMap((line) => {
    const [name = "", active] = line.split(/\s+/);
    return PACKET_CACHES.includes(name) ? [Number(active)] : [];
  });
  return counts.length === 0 ? undefined : counts.reduce((sum, count) => sum + count, 0);
}

function unreclaimableBytes(): number {
  const text = readFileSync("/proc/meminfo", "utf8");
  const kibibytes = UNRECLAIMABLE.map((name) =>
    Number(new RegExp(`^${name}: +(\\d+) kB`, "m").exec(text)?.[1]),
  );
  return kibibytes.reduce((sum, each) => sum + each, 0) * 1024;
}
