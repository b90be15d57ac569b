import * as fc from "fast-check";
import t from "tap";
import { DISK_FREE_MIN_MIB, judge } from "../../doctor/checks.ts";
import type { Check } from "../../doctor/checks.ts";
import { FEATURES } from "../../doctor/facts.ts";
import type { Facts } from "../../doctor/facts.ts";
import { parseFeatures } from "../../doctor/features.ts";
import { installCommand, PROGRAM_GROUPS } from "../../doctor/programs.ts";
import { reportLines, reportOf } from "../../doctor/report.ts";

const healthy: Facts = {
  purpose: "node",
  uid: 0,
  nodeVersion: "24.21.0",
  kernelRelease: "6.1.0-18-amd64",
  btf: true,
  features: Object.fromEntries(FEATURES.map((feature) => [feature, undefined])),
  dataPaths: { kernel: { ok: true, missing: [] }, relay: { ok: true, missing: [] } },
  routerSays: undefined,
  programs: new Set(PROGRAM_GROUPS.flatMap(({ programs }) => Object.keys(programs))),
  libvirtDrivers: new Set(["qemu", "lxc"]),
  libvirtAnswers: true,
  agentAnswers: false,
  kvmDevice: true,
  hypervisorsProven: [{ kind: "kvm", reason: "a tiny Linux guest said hello after 3.1 s" }],
  virtualizationFlag: true,
  baseImage: "0123456789ab",
  diskFreeMiB: 100_000,
  memoryAvailableMiB: 8_000,
  portsTaken: [],
  domainClocks: [],
  nowMs: 2_000,
  builtAtMs: 1_000,
};

function failures(facts: Partial<Facts>): readonly Check[] {
  return judge({ ...healthy, ...facts }).filter((check) => !check.ok);
}

void t.test("a domain's clock that is off by more than a second is told, and is advice", async (t) => {
  const domainClocks = [
    { domain: "kv 1", offsetMs: -900 },
    { domain: "kv 2", offsetMs: 2_500 },
  ];
  t.match(failures({ domainClocks }), [
    { name: "clocks of domains", required: false, found: "off: kv 2 by 2.5 s" },
  ]);
  t.same(failures({ domainClocks: domainClocks.slice(0, 1) }), []);
});

void t.test("a healthy machine has nothing to mend", (t) => {
  for (const purpose of ["node", "testbed"] as const) t.strictSame(failures({ purpose }), []);
  t.equal(reportOf(judge(healthy)).ok, true);
  t.end();
});

void t.test("each lack has the code with which the product would fail", (t) => {
  const lacks: readonly (readonly [Partial<Facts>, string])[] = [
    [{ uid: 1000 }, "E_NOT_ROOT"],
    [{ libvirtAnswers: false }, "E_NO_LIBVIRT"],
    [{ libvirtDrivers: new Set(["qemu"]) }, "E_NO_LIBVIRT"],
    [{ kernelRelease: "4.19.0-5" }, "E_NO_DATA_PATH"],
    [{ btf: false }, "E_NO_DATA_PATH"],
    [{ features: { ...healthy.features, clsact: "Unknown qdisc" } }, "E_NO_DATA_PATH"],
    [{ features: { namespaces: undefined } }, "E_NO_DATA_PATH"],
    [{ portsTaken: ["tcp/4080"] }, "E_PORT_TAKEN"],
    [{ diskFreeMiB: DISK_FREE_MIN_MIB - 1 }, "E_DISK_FULL"],
    [{ baseImage: undefined }, "E_NO_BASE_IMAGE"],
    [{ hypervisorsProven: [] }, "E_NO_HYPERVISOR"],
  ];
  for (const [facts, code] of lacks) {
    const [failure, ...others] = failures(facts);
    t.equal(failure?.code, code);
    t.ok(failure?.mend, code);
    t.strictSame(others, []);
  }
  t.end();
});

void t.test("the data path: which one, why, and what would mend it", (t) => {
  const lack = (what: string) => ({ ok: false, missing: [{ what, mend: `install ${what}` }] });
  const can = healthy.dataPaths.kernel;
  const said = (facts: Partial<Facts>) =>
    judge({ ...healthy, ...facts }).find((check) => check.name === "data path");
  t.match(said({}), { ok: true, found: "kernel: this machine can carry it" });
  const routerSays = { dataPath: "kernel", reason: "the configuration names it" };
  t.match(said({ routerSays }), { ok: true, found: "kernel, in use: the configuration names it" });
  t.match(said({ dataPaths: { kernel: lack("BTF"), relay: can } }), {
    ok: false,
    required: false,
    found: /^relay: .*BTF/,
    mend: /install BTF/,
  });
  t.match(said({ routerSays: { dataPath: "relay", reason: "the configuration names it" } }), {
    ok: false,
    required: false,
    found: /relay, in use/,
    mend: /router\.json/,
  });
  t.match(said({ dataPaths: { kernel: lack("BTF"), relay: lack("nft") } }), {
    ok: false,
    required: true,
    code: "E_NO_DATA_PATH",
    found: /BTF.*nft/,
  });
  const notRoot = lack("root");
  t.equal(said({ dataPaths: { kernel: notRoot, relay: notRoot } })?.ok, true, "root has its own check");
  t.end();
});

void t.test("without root nothing is claimed about the kernel's features", (t) => {
  const names = failures({ uid: 1000, features: undefined }).map((check) => check.name);
  t.strictSame(names, ["root", "kernel features"]);
  t.end();
});

void t.test("a machine without hardware virtualization will do, with advice", (t) => {
  const facts = { ...healthy, virtualizationFlag: false, baseImage: undefined };
  const report = reportOf(judge(facts));
  t.equal(report.ok, true);
  t.match(reportLines(report).join("\n"), /^advice {2}hardware virtualization +no vmx or svm/m);
  t.end();
});

void t.test("a testbed needs no libvirtd of the host and no free ports, but shaping and tini", (t) => {
  t.strictSame(failures({ purpose: "testbed", libvirtAnswers: false, portsTaken: ["udp/4078"] }), []);
  const features = { ...healthy.features, tbf: "no such qdisc" };
  t.strictSame(failures({ features }), []);
  t.match(failures({ purpose: "testbed", features })[0]?.found, /tbf \(no such qdisc\)/);
  const programs = new Set([...healthy.programs].filter((program) => program !== "tini"));
  t.strictSame(failures({ programs }), []);
  t.equal(failures({ purpose: "testbed", programs })[0]?.mend, installCommand(["tini"]));
  t.end();
});

void t.test("one command installs all that a group lacks, each package once", (t) => {
  const [network] = failures({
    programs: new Set([...healthy.programs].filter((p) => !["ip", "tc", "nft"].includes(p))),
  });
  t.equal(network?.mend, "apt-get install --yes --no-install-recommends iproute2 nftables");
  t.end();
});

void t.test("versions are compared as numbers", (t) => {
  for (const nodeVersion of ["22.18.0", "24.1.0", "100.0.0"])
    t.strictSame(failures({ nodeVersion }), [], nodeVersion);
  for (const nodeVersion of ["22.9.0", "20.20.2", "9.99.0"])
    t.equal(failures({ nodeVersion }).length, 1, nodeVersion);
  t.end();
});

void t.test("every failed check says what was needed and what to do; no check that is well does", (t) => {
  const facts = fc.record({
    uid: fc.nat(1),
    btf: fc.boolean(),
    libvirtAnswers: fc.boolean(),
    kvmDevice: fc.boolean(),
    hypervisorsProven: fc.array(fc.record({ kind: fc.string(), reason: fc.string() })),
    programs: fc.subarray([...healthy.programs]).map((programs) => new Set(programs)),
    diskFreeMiB: fc.nat(10_000),
  });
  fc.assert(
    fc.property(facts, (facts) =>
      judge({ ...healthy, ...facts }).every(
        (check) => check.needed !== "" && check.ok === (check.mend === undefined),
      ),
    ),
  );
  t.end();
});

void t.test("the probe's lines are read, and other words are not", (t) => {
  const results = parseFeatures(
    "namespaces ok\nveth ok\ntbf Error: Specified qdisc kind is unknown.\nnoise\nclsact \n",
  );
  t.strictSame(results, {
    namespaces: undefined,
    veth: undefined,
    tbf: "Error: Specified qdisc kind is unknown.",
    clsact: "it failed without a word",
  });
  t.end();
});
