import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import t from "tap";
import type { Test } from "tap";
import { LibvirtHypervisor } from "../../../domain/libvirt/driver.ts";
import type { Flavour } from "../../../domain/libvirt/driver.ts";
import { machineXml } from "../../../domain/xml/machine.ts";
import { compliance } from "../compliance.ts";
import { identity, machineSpec } from "../specs.ts";
import { FakeLibvirtd } from "./server.ts";

const FLAVOUR: Flavour = {
  kind: "qemu",
  uri: "test:///default",
  linkKind: "tap",
  diskKind: "qcow2",
  xml: (spec) => machineXml("qemu", spec),
};

async function setup(t: Test) {
  const daemon = await new FakeLibvirtd().start();
  const hypervisor = new LibvirtHypervisor(FLAVOUR, daemon.socketPath);
  const consoleLog = join(daemon.directory, "logs", "console.log");
  t.teardown(async () => {
    await hypervisor.close();
    await daemon.remove();
  });
  return { daemon, hypervisor, spec: (name: string) => machineSpec(name, { consoleLog }) };
}

t.test("over libvirt's protocol it complies", async (t) => {
  const { daemon, hypervisor, spec } = await setup(t);
  const link = { ...identity.link, interfaceName: "no-such" };
  compliance(t, "vmdom", {
    hypervisor,
    spec: (name) => Promise.resolve(spec(name)),
    brokenSpec: (name) => Promise.resolve({ ...spec(name), identity: { ...identity, link } }),
    crash: (name) => Promise.resolve(daemon.crash(name)),
    addForeign: (name) => Promise.resolve(void daemon.define(`<domain><name>${name}</name></domain>`)),
    foreignExists: (name) => Promise.resolve(daemon.domains.has(name)),
    keepsConsole: true,
  });
});

t.test(
  "libvirtd may be restarted at any time: calls wait, events go on and tell what was missed",
  async (t) => {
    const { daemon, hypervisor, spec } = await setup(t);
    const controller = new AbortController();
    const seen: string[] = [];
    const ended = (async () => {
      for await (const event of hypervisor.events(controller.signal))
        seen.push(`${event.name} ${event.state}`);
    })();
    await hypervisor.create(spec("one"));
    await hypervisor.create(spec("two"));
    while (seen.length < 2) await sleep(10);
    await daemon.stop();
    daemon.crash("one");
    const listing = hypervisor.list();
    await sleep(300);
    await daemon.start();
    t.same(await listing, [
      { name: "one", state: "stopped" },
      { name: "two", state: "running" },
    ]);
    while (seen.length < 3) await sleep(10);
    daemon.crash("two");
    while (seen.length < 4) await sleep(10);
    t.same(seen.slice(2), ["one stopped", "two stopped"]);
    controller.abort();
    await ended;
  },
);

t.test("a create that lost its connection is begun anew and leaves one domain", async (t) => {
  const { daemon, hypervisor, spec } = await setup(t);
  daemon.tricks.set("domain_create_xml", ["hang up"]);
  daemon.tricks.set("domain_define_xml_flags", ["hang up"]);
  await hypervisor.create(spec("one"));
  t.same(await hypervisor.list(), [{ name: "one", state: "running" }]);
});

t.test("a domain that started but cannot be kept is ended", async (t) => {
  const { daemon, hypervisor, spec } = await setup(t);
  daemon.tricks.set("domain_define_xml_flags", [{ code: 38, message: "No space left on device" }]);
  await t.rejects(hypervisor.create(spec("one")), { code: "E_LIBVIRT", message: /No space left/ });
  t.same(await hypervisor.list(), []);

  await hypervisor.create(spec("one"));
  daemon.tricks.set("domain_define_xml_flags", [{ code: 38, message: "No space left on device" }]);
  await t.rejects(hypervisor.create(spec("one")), { code: "E_LIBVIRT" });
  t.same(await hypervisor.list(), [{ name: "one", state: "running" }], "but not one that ran before");
});

t.test("processes that refuse to die are killed again", async (t) => {
  const { daemon, hypervisor, spec } = await setup(t);
  await hypervisor.create(spec("one"));
  daemon.tricks.set("domain_destroy_flags", [{ code: 38, message: "Failed to terminate process" }]);
  await hypervisor.destroy("one");
  t.same(await hypervisor.list(), []);
});

t.test("without a daemon every call says so, and at once", async (t) => {
  const hypervisor = new LibvirtHypervisor(FLAVOUR, join(t.testdir(), "missing"));
  const expected = { code: "E_NO_LIBVIRT" };
  await t.rejects(hypervisor.check(), expected);
  await t.rejects(hypervisor.list(), expected);
  await t.rejects(hypervisor.destroy("one"), expected);
});
