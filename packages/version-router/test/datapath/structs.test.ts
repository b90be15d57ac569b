/** The one mirror of the kernel's structs, compared with the type information in the compiled object. */
import { execFileSync } from "node:child_process";
import { existsSync, readFileSync } from "node:fs";
import t from "tap";
import { BPF_OBJECT } from "../../datapath/kernel/object-file.ts";
import * as structs from "../../datapath/kernel/structs.ts";
import { address128 } from "../../datapath/kernel/struct-codec.ts";
import type { Struct } from "../../datapath/kernel/struct-codec.ts";

interface BtfType {
  readonly id: number;
  readonly kind: string;
  readonly name: string;
  readonly size?: number;
  readonly nr_elems?: number;
  readonly type_id?: number;
  readonly members?: readonly {
    readonly name: string;
    readonly type_id: number;
    readonly bits_offset: number;
  }[];
}

function whyNot(): string | false {
  if (!existsSync(BPF_OBJECT)) return "needs the compiled programs: npm run build:bpf";
  try {
    execFileSync("bpftool", ["version"], {
      env: { ...process.env, PATH: `${process.env["PATH"]}:/usr/sbin` },
    });
    return false;
  } catch {
    return "needs bpftool: apt-get install bpftool";
  }
}

const skip = whyNot();

function readTypes(): readonly BtfType[] {
  const env = { ...process.env, PATH: `${process.env["PATH"]}:/usr/sbin` };
  const json = execFileSync("bpftool", ["--json", "btf", "dump", "file", BPF_OBJECT], {
    env,
    encoding: "utf8",
  });
  return (JSON.parse(json) as { types: BtfType[] }).types;
}

const types = skip === false ? readTypes() : [];
const named = (kind: string, name: string): BtfType | undefined =>
  types.find((type) => type.kind === kind && type.name === name);

const MIRRORED: Readonly<Record<string, Struct<unknown>>> = {
  config: structs.config,
  slot: structs.slot,
  bucket: structs.bucket,
  domain_key: structs.domainKey,
  service: structs.service,
  port_key: structs.portKey,
  port: structs.port,
  flow_key: structs.flowKey,
  flow: structs.flow,
  heard_key: structs.heardKey,
  counter_key: structs.counterKey,
  counter: structs.counter,
  peer_key: structs.peerKey,
  peer_counter: structs.peerCounter,
  tracing: structs.tracing,
  trace_record: structs.traceRecord,
};

t.test("sizes and offsets of every struct", { skip }, async (t) => {
  for (const [name, mirror] of Object.entries(MIRRORED)) {
    const type = named("STRUCT", name);
    const offsets = type?.members?.map((member) => [member.name, member.bits_offset / 8]) ?? [];
    t.equal(type?.size, mirror.bytes, `size of ${name}`);
    t.same(Object.fromEntries(offsets), mirror.offsets, `offsets of ${name}`);
  }
});

t.test("maps: keys, values and numbers of entries", { skip }, async (t) => {
  const section = named("DATASEC", ".maps") as unknown as { vars: readonly { type_id: number }[] };
  const byId = new Map(types.map((type) => [type.id, type]));
  const found = section.vars.map(({ type_id: id }) => byId.get(id)?.name);
  t.same(new Set(found), new Set(Object.keys(structs.MAPS)));
  for (const [name, map] of Object.entries(structs.MAPS)) {
    const definition = byId.get(named("VAR", name)?.type_id ?? -1);
    const member = (wanted: string): BtfType | undefined => {
      const id = definition?.members?.find((one) => one.name === wanted)?.type_id;
      return byId.get(byId.get(id ?? -1)?.type_id ?? -1);
    };
    t.equal(member("max_entries")?.nr_elems, map.entries, `entries of ${name}`);
    t.equal(sizeOf(byId, member("key")) ?? 0, map.key.bytes, `key of ${name}`);
    t.equal(sizeOf(byId, member("value")), map.value.bytes, `value of ${name}`);
  }
});

t.test("enumerations, which leave no type information, by the source", async (t) => {
  const source = ["maps.h", "trace.h", "rate.h"]
    .map((file) => readFileSync(new URL(`../../datapath/kernel/bpf/${file}`, import.meta.url), "utf8"))
    .join("");
  const names = (name: string, prefix: string): string[] => {
    const body = new RegExp(`enum ${name} \\{([^}]*)\\}`).exec(source)?.[1] ?? "";
    return [...body.matchAll(/\w+/g)].map(([constant]) => constant.slice(prefix.length).toLowerCase());
  };
  t.same(names("verdict", "V_"), structs.VERDICTS);
  t.same(names("client_path", "PATH_"), Object.keys(structs.PATH));
  t.same(names("flow_role", "ROLE_"), Object.keys(structs.ROLE));
  t.same(names("flow_state", "FLOW_"), Object.keys(structs.FLOW));
  t.same(names("trace_hook", "HOOK_"), Object.keys(structs.HOOK));
  t.same(names("direction", ""), Object.keys(structs.DIRECTION));
  for (const numbers of [structs.PATH, structs.ROLE, structs.FLOW, structs.HOOK, structs.DIRECTION]) {
    t.same(Object.values(numbers), [...Object.keys(numbers).keys()]);
  }
});

t.test("values survive the round trip", async (t) => {
  const slot = {
    ifindex: 7,
    version: 268_435_455,
    mbit_per_s: 100_000,
    management: "169.254.128.64",
    management6: "fd56:52aa:6f3d:1::40",
    tag: 0xffff,
    link: 2,
    pad: undefined,
    guest_mac: "52:54:4e:00:01:3f",
    host_mac: "fe:54:4e:00:01:3f",
    service: "kv",
  };
  t.same(structs.slot.decode(structs.slot.encode(slot)), slot);
  t.throws(() => structs.slot.encode({ ...slot, service: "x".repeat(64) }), RangeError);
});

t.test("addresses of both families", async (t) => {
  for (const address of [
    "10.78.0.1",
    "255.0.0.1",
    "::",
    "::1",
    "2001:db8::5",
    "fe80::1:0:0:2",
    "1:2:3:4:5:6:7:8",
  ]) {
    const bytes = Buffer.alloc(16);
    address128.write(bytes, 0, address);
    t.equal(address128.read(bytes, 0), address);
  }
  const mapped = Buffer.alloc(16);
  address128.write(mapped, 0, "10.78.0.1");
  t.equal(mapped.toString("hex"), "00000000000000000000ffff0a4e0001");
});

function sizeOf(byId: ReadonlyMap<number, BtfType>, type: BtfType | undefined): number | undefined {
  return type?.size ?? (type?.type_id === undefined ? undefined : sizeOf(byId, byId.get(type.type_id)));
}
