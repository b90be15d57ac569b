/**
 * Programs and maps in the bpffs, under `<pinDirectory>/layout-N/{maps,programs}`. bpftool loads and pins them.
 *
 * A new daemon loads its programs beside those of the old one, over the same maps, and then renames the directory.
 */
import { mkdirSync, readdirSync, renameSync, rmSync, statfsSync } from "node:fs";
import { dirname, join } from "node:path";
import { RouterError } from "../../errors.ts";
import { BpfMap } from "./bpf-map.ts";
import { run } from "./command.ts";
import { BPF_OBJECT } from "./object-file.ts";
import { LAYOUT, MAPS, type PROGRAMS } from "./structs.ts";
import type { MapType } from "./bpf-map.ts";

const BPF_FS_MAGIC = 0xcafe4a11;

export type ProgramName = (typeof PROGRAMS)[number];
export type MapName = keyof typeof MAPS;
export type Maps = {
  readonly [N in MapName]: (typeof MAPS)[N] extends MapType<infer K, infer V> ? BpfMap<K, V> : never;
};

export class Pins {
  readonly #root: string;
  readonly #layout: string;

  constructor(pinDirectory: string) {
    this.#root = pinDirectory;
    this.#layout = join(pinDirectory, `layout-${LAYOUT}`);
  }

  /** Path of a loaded program, to attach it by. */
  program(name: ProgramName): string {
    return join(this.#layout, "programs", name);
  }

  /** True when an earlier daemon has left maps. */
  exist(): boolean {
    return list(join(this.#layout, "maps")).length === Object.keys(MAPS).length;
  }

  /** Loads this release's programs, over the maps of an earlier daemon when there are some. */
  async load(): Promise<void> {
    this.#checkPlace();
    const maps = join(this.#layout, "maps");
    const programs = join(this.#layout, "programs");
    const next = join(this.#layout, "programs-next");
    const reused = this.exist();
    if (!reused) rmSync(this.#layout, { recursive: true, force: true });
    rmSync(next, { recursive: true, force: true });
    mkdirSync(this.#layout, { recursive: true });
    const names = reused ? Object.keys(MAPS) : [];
    const reuse = names.flatMap((name) => ["map", "name", name, "pinned", join(maps, name)]);
    const pinMaps = reused ? [] : ["pinmaps", maps];
    await run("bpftool", ["prog", "loadall", BPF_OBJECT, next, "type", "classifier", ...reuse, ...pinMaps]);
    rmSync(programs, { recursive: true, force: true });
    renameSync(next, programs);
  }

  maps(): Maps {
    const open = <K, V>(name: MapName, type: MapType<K, V>): BpfMap<K, V> =>
      new BpfMap(join(this.#layout, "maps", name), type);
    return {
      config: open("config", MAPS.config),
      slots: open("slots", MAPS.slots),
      buckets: open("buckets", MAPS.buckets),
      interfaces: open("interfaces", MAPS.interfaces),
      domains: open("domains", MAPS.domains),
      services: open("services", MAPS.services),
      ports: open("ports", MAPS.ports),
      flows: open("flows", MAPS.flows),
      tentative: open("tentative", MAPS.tentative),
      heard: open("heard", MAPS.heard),
      counters: open("counters", MAPS.counters),
      peer_counters: open("peer_counters", MAPS.peer_counters),
      tracing: open("tracing", MAPS.tracing),
      trace_packet: open("trace_packet", MAPS.trace_packet),
      trace_lost: open("trace_lost", MAPS.trace_lost),
      trace_queue: open("trace_queue", MAPS.trace_queue),
      managed: open("managed", MAPS.managed),
    };
  }

  remove(): void {
    rmSync(this.#root, { recursive: true, force: true });
  }

  #checkPlace(): void {
    const parent = dirname(this.#root);
    if (fileSystemOf(parent) !== BPF_FS_MAGIC && fileSystemOf(this.#root) !== BPF_FS_MAGIC) {
      const message = `${this.#root} is not on a bpffs; run "mount -t bpf bpf ${parent}" first.`;
      throw new RouterError("E_NO_DATA_PATH", message);
    }
    const strangers = list(this.#root).filter(
      (name) => name.startsWith("layout-") && name !== `layout-${LAYOUT}`,
    );
    if (strangers.length > 0) {
      const message = `${this.#root} holds ${strangers.join(", ")}, which this release (layout-${LAYOUT}) cannot read; drain this node and run "vm-router --destroy" with the release that made it.`;
      throw new RouterError("E_KERNEL", message);
    }
  }
}

function list(directory: string): readonly string[] {
  try {
    return readdirSync(directory);
  } catch {
    return [];
  }
}

function fileSystemOf(path: string): number | undefined {
  try {
    return statfsSync(path).type;
  } catch {
    return undefined;
  }
}
