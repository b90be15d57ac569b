import t from "tap";
import { containerEnvironment, kernelCommandLine } from "../../../domain/xml/identity.ts";
import { identity } from "../specs.ts";

const KEY = Buffer.from(identity.authorizedKey).toString("base64");

t.test("a virtual machine reads its identity from the kernel's command line", async (t) => {
  const words = kernelCommandLine(["quiet"], identity).split(" ");
  t.same(words, [
    "quiet",
    "vm.hostname=n1-kv-2",
    "vm.address=10.77.0.1",
    "vm.gateway=169.254.1.1",
    "vm.mtu=1484",
    "vm.mac=52:54:00:00:00:01",
    "vm.ports=32768-36863",
    "vm.service=kv",
    "vm.version=2",
    `vm.key=${KEY}`,
  ]);
});

t.test("a node that has an IPv6 address gives it to its domains", async (t) => {
  const link = { ...identity.link, address6: "fd10:77::1", gateway6: "fe80::1" };
  const line = kernelCommandLine([], { ...identity, link });
  t.match(line, / vm\.address6=fd10:77::1 vm\.gateway6=fe80::1 /);
  const environment = Object.fromEntries(containerEnvironment({ ...identity, link }));
  t.match(environment, { VM_ADDRESS6: "fd10:77::1", VM_GATEWAY6: "fe80::1" });
});

t.test("a container reads the same facts from its environment", async (t) => {
  const environment = Object.fromEntries(containerEnvironment(identity));
  t.match(environment, { VM_HOSTNAME: "n1-kv-2", VM_PORTS: "32768-36863", VM_VERSION: "2", VM_KEY: KEY });
  t.equal(Object.keys(environment).length, 9);
});

t.test("blanks and quotes cannot add words, and a line is never cut off", async (t) => {
  for (const hostname of ["a init=/bin/sh", 'a"b', "a\nb"]) {
    t.throws(
      () => kernelCommandLine([], { ...identity, hostname }),
      { code: "E_DOMAIN" },
      JSON.stringify(hostname),
    );
  }
  t.throws(() => kernelCommandLine([], { ...identity, authorizedKey: "x".repeat(1600) }), {
    code: "E_DOMAIN",
  });
});
