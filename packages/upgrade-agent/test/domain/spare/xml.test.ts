/** A spare and its clone are the same machine to QEMU, and other domains to libvirt. */
import { spawnSync } from "node:child_process";
import { existsSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import t from "tap";
import { machineXml } from "../../../domain/xml/machine.ts";
import { machineSpec } from "../specs.ts";

const VALIDATOR = "/usr/bin/virt-xml-validate";
const skip = existsSync(VALIDATOR) ? false : "virt-xml-validate is missing: apt-get install libvirt-clients";
const spec = machineSpec("vm-n1-kv-2", { consoleLog: `/logs/"<&>' .log` });
const template = machineXml("qemu", spec, { socket: "/d/line", template: true });
const clone = machineXml("qemu", spec, { socket: `/d/"<&>'`, template: false });
const ordinary = machineXml("qemu", spec);

for (const [what, xml] of Object.entries({ spare: template, clone })) {
  void t.test(`the XML of a ${what} follows libvirt's schema`, { skip }, (t) => {
    const file = join(t.testdir(), "domain.xml");
    writeFileSync(file, xml);
    const { status, stderr } = spawnSync(VALIDATOR, [file, "domain"], { encoding: "utf8" });
    t.equal(status, 0, stderr);
    t.end();
  });
}

/** Elements in the order in which they stand, which is what addresses of devices come from. */
function devices(xml: string): string[] {
  const text = /<devices>(.*)<\/devices>/s.exec(xml)?.[1] ?? "";
  return [...text.matchAll(/^ {4}<(\w+)/gm)].map(([, name = ""]) => name);
}

void t.test("both have the same devices, and one more than a domain that boots", (t) => {
  t.same(devices(template), devices(clone));
  const line = devices(ordinary).indexOf("serial") + 1;
  t.same(devices(clone).toSpliced(line, 1), devices(ordinary));
  t.end();
});

void t.test("the machine that is saved knows nobody, and has a tap that libvirt makes", (t) => {
  t.match(template, / vm\.spare=1<\/cmdline>/);
  t.notMatch(template, /vm\.(hostname|address|key|mac)=/);
  t.notMatch(template, /managed=/);
  t.match(clone, /<target dev="vmdomt0" managed="no"\/>/);
  t.match(clone, / vm\.hostname=n1-kv-2 /);
  t.end();
});
