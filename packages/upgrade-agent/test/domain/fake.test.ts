import t from "tap";
import { AgentError } from "../../errors.ts";
import { FakeHypervisor } from "../../domain/fake.ts";
import { compliance } from "./compliance.ts";
import { machineSpec } from "./specs.ts";

t.test("the fake complies", async (t) => {
  const hypervisor = new FakeHypervisor();
  compliance(t, "vmdom", {
    hypervisor,
    spec: (name) => Promise.resolve(machineSpec(name)),
    brokenSpec: (name) => {
      hypervisor.failNext("create", new AgentError("E_LIBVIRT", "Cannot open the tap."));
      return Promise.resolve(machineSpec(name));
    },
    crash: (name) => Promise.resolve(hypervisor.crash(name)),
    addForeign: (name) => Promise.resolve(hypervisor.addForeign(name)),
    foreignExists: (name) => Promise.resolve(hypervisor.hasForeign(name)),
    keepsConsole: false,
  });
});

t.test("one that is deaf runs on when it is asked to end", async (t) => {
  const hypervisor = new FakeHypervisor();
  await hypervisor.create(machineSpec("a"));
  hypervisor.deafen("a");
  t.equal(await hypervisor.shutdown("a", { deadlineMs: 1 }), false);
  t.equal(await hypervisor.state("a"), "running");
  await hypervisor.destroy("a");
  t.equal(await hypervisor.shutdown("a", { deadlineMs: 1 }), true);
});

t.test("faults hit the next calls, one each", async (t) => {
  const hypervisor = new FakeHypervisor();
  const fault = new AgentError("E_NO_LIBVIRT", "libvirtd is away.");
  hypervisor.failNext("list", fault);
  await t.rejects(hypervisor.list(), { code: "E_NO_LIBVIRT" });
  t.same(await hypervisor.list(), []);
  hypervisor.failNext("destroy", fault, fault);
  await t.rejects(hypervisor.destroy("a"), { code: "E_NO_LIBVIRT" });
  await t.rejects(hypervisor.destroy("a"), { code: "E_NO_LIBVIRT" });
  await hypervisor.destroy("a");
  await hypervisor.create(machineSpec("a"));
  t.equal(hypervisor.spec("a")?.memoryMiB, 128);
  await hypervisor.close();
});
