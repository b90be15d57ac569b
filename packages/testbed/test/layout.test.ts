import * as fc from "fast-check";
import t from "tap";
import { checkName, layoutOf, NODES_MAX } from "../layout.ts";
import { planOf } from "../options.ts";
import { testbedOf } from "../state.ts";

void t.test("everything of a testbed can be told from everything of others by its name", (t) => {
  const name = fc.stringMatching(/^[a-z0-9]{1,16}$/);
  fc.assert(
    fc.property(name, fc.integer({ min: 1, max: NODES_MAX }), (name, nodes) => {
      const layout = layoutOf(name, nodes);
      const things = [
        layout.wireNetns,
        layout.clientNetns,
        ...layout.nodes.flatMap((n) => [n.netns, n.cgroup]),
      ];
      return things.every((thing) => testbedOf(thing) === name);
    }),
  );
  t.end();
});

void t.test("addresses of nodes and client differ, sockets fit a socket address", (t) => {
  const layout = layoutOf("a".repeat(16), NODES_MAX);
  const addresses = [layout.clientAddress, ...layout.nodes.map((node) => node.address)];
  t.equal(new Set(addresses).size, NODES_MAX + 1);
  for (const node of layout.nodes) {
    t.ok(Buffer.byteLength(`${node.directory}/run/version-manager/proxy-${"s".repeat(20)}.sock`) < 108);
  }
  t.end();
});

void t.test("wrong options are refused with a code", (t) => {
  for (const name of ["", "a-b", "A", "../x", "a".repeat(17)]) {
    t.throws(() => checkName(name), { code: "E_BAD_REQUEST" }, JSON.stringify(name));
  }
  for (const nodes of [0, -1, 1.5, NODES_MAX + 1])
    t.throws(() => layoutOf("a", nodes), { code: "E_BAD_REQUEST" });
  for (const rateMbit of [0, -5, Number.NaN, 1e9])
    t.throws(() => planOf({ rateMbit }), { code: "E_BAD_REQUEST" });
  t.end();
});

void t.test("the real libvirtd is used unless another command takes its place", (t) => {
  t.equal(planOf({}).usesLibvirt, true);
  t.equal(planOf({ commands: { agent: ["sleep", "1"] } }).usesLibvirt, true);
  t.equal(planOf({ commands: { libvirtd: ["sleep", "1"] } }).usesLibvirt, false);
  t.equal(planOf({ commands: { libvirtd: undefined } }).commands.libvirtd, undefined);
  t.end();
});
