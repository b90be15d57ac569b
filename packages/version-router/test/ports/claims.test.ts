import t from "tap";
import type { PortSpec } from "../../control/contract.ts";
import { findConflicts } from "../../ports/claims.ts";
import type { Claim } from "../../ports/claims.ts";

const claim = (service: string, version: number, peer: PortSpec[], client: PortSpec[] = []): Claim => ({
  service,
  version,
  ports: { peer, client },
});
const find = (
  wanted: Claim,
  claims: Claim[] = [],
  listening: [PortSpec, string][] = [],
  reserved: [number, string][] = [[22, "SSH"]],
) => findConflicts(wanted, { claims, reserved: new Map(reserved), listening: new Map(listening) });

t.test("versions of one service share their ports", async (t) => {
  t.same(find(claim("kv", 2, ["tcp/7000"], ["tcp/80"]), [claim("kv", 1, ["tcp/7000"], ["tcp/80"])]), []);
});

t.test("two services do not, in whichever role", async (t) => {
  t.match(find(claim("web", 1, ["tcp/7000"]), [claim("kv", 3, ["tcp/7000"])]), [
    { port: "tcp/7000", holder: /kv \(version 3\), as a peer port/ },
  ]);
  t.match(find(claim("web", 1, [], ["tcp/7000"]), [claim("kv", 3, ["tcp/7000"])]), [{ port: "tcp/7000" }]);
  t.same(find(claim("web", 1, ["udp/7000"]), [claim("kv", 3, ["tcp/7000"])]), [], "another protocol is free");
});

t.test("no port is both peer and client, in one registration or two", async (t) => {
  t.equal(find(claim("kv", 1, ["tcp/80"], ["tcp/80"])).length, 2);
  t.equal(find(claim("kv", 2, ["tcp/80"]), [claim("kv", 1, [], ["tcp/80"])]).length, 1);
});

t.test("the node's own ports are reserved for both protocols", async (t) => {
  t.equal(find(claim("kv", 1, ["tcp/22"], ["udp/22"])).length, 2);
});

t.test("a port on which the host listens is taken, unless the service has it already", async (t) => {
  const listening: [PortSpec, string][] = [["tcp/80", "nginx (pid 7)"]];
  t.match(find(claim("kv", 1, [], ["tcp/80"]), [], listening), [{ holder: /nginx/ }]);
  t.same(
    find(claim("kv", 2, [], ["tcp/80"]), [claim("kv", 1, [], ["tcp/80"])], listening),
    [],
    "its proxy listens",
  );
});

t.test("every conflict is reported", async (t) => {
  const others = [claim("a", 1, ["tcp/1"]), claim("b", 1, [], ["udp/2"])];
  t.same(
    find(claim("kv", 1, ["tcp/1", "tcp/22"], ["udp/2", "udp/3"]), others).map(({ port }) => port),
    ["tcp/1", "tcp/22", "udp/2"],
  );
});
