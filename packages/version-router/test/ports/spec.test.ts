import * as fc from "fast-check";
import t from "tap";
import type { PortSpec } from "../../control/contract.ts";
import { parsePortSpec, samePorts, unionPorts, withoutPorts } from "../../ports/spec.ts";

const spec = fc
  .tuple(fc.constantFrom("tcp", "udp"), fc.integer({ min: 1, max: 65_535 }))
  .map(([protocol, port]): PortSpec => `${protocol === "udp" ? "udp" : "tcp"}/${port}`);
const set = fc.record({ peer: fc.array(spec), client: fc.array(spec) });

t.test("every port is read", async () => {
  fc.assert(
    fc.property(spec, (text) => {
      const parsed = parsePortSpec(text);
      return parsed !== undefined && `${parsed.protocol}/${parsed.port}` === text;
    }),
  );
});

t.test("anything else is refused", async (t) => {
  for (const text of [
    "",
    "tcp",
    "tcp/",
    "tcp/0",
    "tcp/65536",
    "tcp/007",
    "tcp/1e3",
    "TCP/80",
    "sctp/80",
    "tcp/80 ",
  ]) {
    t.equal(parsePortSpec(text), undefined, JSON.stringify(text));
  }
});

t.test("a union holds both and repeats nothing; what is taken away is gone", async () => {
  fc.assert(
    fc.property(set, set, (a, b) => {
      const both = unionPorts(a, b);
      return (
        samePorts(unionPorts(both, a), both) &&
        samePorts(unionPorts(b, a), both) &&
        new Set(both.peer).size === both.peer.length &&
        withoutPorts(both, both).peer.length === 0 &&
        withoutPorts(both, a).client.every((port) => !a.client.includes(port))
      );
    }),
  );
});
