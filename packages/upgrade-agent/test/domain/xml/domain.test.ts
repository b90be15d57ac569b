/** The XML of each kind, held against libvirt's own schema where it is installed. */
import { spawnSync } from "node:child_process";
import { existsSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import t from "tap";
import type { Test } from "tap";
import { containerXml } from "../../../domain/xml/container.ts";
import { isOurs, uuidOf } from "../../../domain/xml/frame.ts";
import { machineXml } from "../../../domain/xml/machine.ts";
import { xenBridgeOf, xenNameOf, xenXml } from "../../../domain/xml/xen.ts";
import { containerSpec, machineSpec } from "../specs.ts";

const VALIDATOR = "/usr/bin/virt-xml-validate";

const veth = containerSpec("vm-n1-kv-2").identity;
const xenSpec = machineSpec("vm-n1-kv-2", { identity: veth });
const awkward = { consoleLog: `/logs/"<&>' .log` };

const bootable = {
  kind: "bootable",
  path: "/d/disk.qcow2",
  seed: "/d/seed.iso",
} as const;
const ownKernel = { kernelWords: ["root=LABEL=vm-root", "rw", "init=/.version-manager/vm-init"] };
const tools = { busybox: "/.version-manager/bin/busybox", init: "/.version-manager/vm-init" };

/** Images of another make than our base. */
const foreign: Readonly<Record<string, string>> = {
  "a disk with a rate": machineXml("kvm", machineSpec("vm-n1-kv-2", { diskMiBPerS: 8 })),
  "a cloud image": machineXml("qemu", machineSpec("vm-n1-kv-2", { disk: bootable })),
  "a release's own kernel": machineXml(
    "kvm",
    machineSpec("vm-n1-kv-2", {
      disk: {
        kind: "qcow2",
        path: "/d/disk.qcow2",
        kernel: "/d/kernel",
        initramfs: "/d/initramfs",
        ...ownKernel,
      },
    }),
  ),
  "an OCI archive": containerXml(
    containerSpec("vm-n1-kv-2", { disk: { kind: "directory", path: "/d/root", tools } }),
  ),
};

const documents: Readonly<Record<string, string>> = {
  kvm: machineXml("kvm", machineSpec("vm-n1-kv-2")),
  qemu: machineXml("qemu", machineSpec("vm-n1-kv-2", awkward)),
  xen: xenXml(xenSpec),
  lxc: containerXml(containerSpec("vm-n1-kv-2", awkward)),
};

function validate(t: Test, xml: string): void {
  const file = join(t.testdir(), "domain.xml");
  writeFileSync(file, xml);
  const { status, stderr } = spawnSync(VALIDATOR, [file, "domain"], { encoding: "utf8" });
  t.equal(status, 0, stderr);
}

const skip = existsSync(VALIDATOR) ? false : "virt-xml-validate is missing: apt-get install libvirt-clients";

for (const [kind, xml] of Object.entries(documents)) {
  t.test(`the XML of ${kind} follows libvirt's schema and bears our mark`, { skip }, async (t) => {
    validate(t, xml);
    t.equal(isOurs(xml), true);
    t.match(xml, `<domain type="${kind}">`);
    t.match(xml, '<memory unit="MiB">128</memory>');
    t.match(xml, "<on_reboot>destroy</on_reboot>");
  });
}

for (const [what, xml] of Object.entries(foreign)) {
  t.test(`the XML for ${what} follows libvirt's schema`, { skip }, async (t) => validate(t, xml));
}

t.test("a cloud image boots by itself and finds the disk that says who it is", async (t) => {
  const xml = foreign["a cloud image"] ?? "";
  for (const part of [
    '<boot dev="hd"/>',
    '<source file="/d/seed.iso"/>',
    "<readonly/>",
    '<target dev="vdb" bus="virtio"/>',
  ])
    t.ok(xml.includes(part), part);
  t.notMatch(xml, "<kernel>");
  t.notMatch(xml, "<cmdline>");
});

t.test("an own kernel is told where its root is, and a foreign root starts our init", async (t) => {
  t.match(foreign["a release's own kernel"], "root=LABEL=vm-root rw init=/.version-manager/vm-init");
  t.match(foreign["an OCI archive"], "<init>/.version-manager/bin/busybox</init>");
  t.match(foreign["an OCI archive"], "exec /.version-manager/vm-init");
  t.match(documents["lxc"], "exec /sbin/vm-init");
});

t.test("what a hypervisor cannot boot is refused", async (t) => {
  t.throws(() => xenXml(machineSpec("vm-n1-kv-2", { identity: veth, disk: bootable })), { code: "E_DOMAIN" });
  t.throws(() => containerXml(containerSpec("vm-n1-kv-2", { disk: bootable })), { code: "E_DOMAIN" });
  t.throws(() => machineXml("qemu", machineSpec("vm-n1-kv-2", { disk: { ...bootable, seed: "seed.iso" } })), {
    code: "E_DOMAIN",
  });
});

t.test("virtual machines boot their kernel directly and use the router's tap", async (t) => {
  const xml = documents["qemu"] ?? "";
  for (const part of [
    "<kernel>/b/vmlinux</kernel>",
    "<initrd>/b/initramfs.cpio</initrd>",
    "no_timer_check",
    "vm.hostname=n1-kv-2",
    '<target dev="vmdomt0" managed="no"/>',
    '<mac address="52:54:00:00:00:01"/>',
    '<tb-cache unit="MiB">64</tb-cache>',
    '<source path="/logs/&quot;&lt;&amp;&gt;&apos; .log" append="on"/>',
  ]) {
    t.ok(xml.includes(part), part);
  }
  t.notOk((documents["kvm"] ?? "").includes("tcg"));
  t.match(documents["kvm"], '<cpu mode="host-passthrough"/>');
});

t.test("containers have a user namespace, their veth end, limits and their facts", async (t) => {
  const xml = documents["lxc"] ?? "";
  for (const part of [
    '<uid start="0" target="100000" count="65536"/>',
    '<gid start="0" target="100000" count="65536"/>',
    "<interface>vmdomg0</interface>",
    "<privnet/>",
    "<quota>100000</quota>",
    '<initenv name="VM_ADDRESS">10.77.0.1</initenv>',
    '<source dir="/d/root"/>',
  ]) {
    t.ok(xml.includes(part), part);
  }
});

t.test("a guest of Xen is paravirtual unless the processor shall hold it apart", { skip }, async (t) => {
  t.match(documents["xen"], '<type arch="x86_64" machine="xenpv">linux</type>');
  const held = xenXml(xenSpec, "pvh");
  validate(t, held);
  t.match(held, '<type arch="x86_64" machine="xenpvh">xenpvh</type>');
});

t.test("a disk's rate is in bytes, bounded, and on the private disk alone", async (t) => {
  const xml = foreign["a disk with a rate"] ?? "";
  t.equal(xml.match(/<total_bytes_sec>8388608<\/total_bytes_sec>/g)?.length, 1);
  t.notMatch(documents["kvm"], "iotune");
  for (const diskMiBPerS of [0, 1.5, 2 ** 21])
    t.throws(() => machineXml("kvm", machineSpec("vm-n1-kv-2", { diskMiBPerS })), { code: "E_DOMAIN" });
});

t.test("xen's interface is put on a bridge that the XML names again", async (t) => {
  t.equal(xenBridgeOf(documents["xen"] ?? ""), "xbvmdomg0");
  t.equal(xenBridgeOf(documents["lxc"] ?? ""), undefined);
  t.equal(xenNameOf(documents["xen"] ?? ""), "vm-n1-kv-2");
});

t.test("a uuid belongs to a name", async (t) => {
  t.match(uuidOf("a"), /^[0-9a-f]{8}-[0-9a-f]{4}-8[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/);
  t.equal(uuidOf("a"), uuidOf("a"));
  t.not(uuidOf("a"), uuidOf("b"));
});

t.test("only our own metadata makes a domain ours", async (t) => {
  const mine = "urn:version-manager:domain:1";
  t.equal(isOurs(`<metadata>\n<vm:domain xmlns:vm="${mine}" service="kv" version="1"/></metadata>`), true);
  t.equal(
    isOurs(`<metadata><x:domain service='kv' xmlns:x='${mine}'/></metadata>`),
    true,
    "as libvirt writes it",
  );
  t.equal(isOurs(`<description>${mine}</description>`), false);
  t.equal(isOurs(`<title>&lt;vm:domain xmlns:vm="${mine}"/&gt;</title>`), false);
});

t.test("a description of the wrong kind is refused", async (t) => {
  const machine = machineSpec("a");
  const container = containerSpec("a");
  t.throws(() => machineXml("qemu", { ...machine, disk: container.disk }), { code: "E_DOMAIN" });
  t.throws(() => containerXml({ ...container, disk: machine.disk }), { code: "E_DOMAIN" });
  t.throws(
    () => containerXml({ ...container, identity: machine.identity }),
    { code: "E_DOMAIN" },
    "no veth end",
  );
  t.throws(() => xenXml(machine), { code: "E_DOMAIN" }, "no veth end");
  t.throws(
    () => machineXml("kvm", { ...machine, name: "UPPER", vcpus: 0, memoryMiB: 0.5, consoleLog: "relative" }),
    {
      code: "E_DOMAIN",
      message: /name.*memoryMiB.*vcpus.*absolute/,
    },
  );
});
