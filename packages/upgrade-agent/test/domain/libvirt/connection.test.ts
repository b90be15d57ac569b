import t from "tap";
import { Connection } from "../../../domain/libvirt/connection.ts";
import { LibvirtError } from "../../../domain/libvirt/rpc/error.ts";
import type { AgentError } from "../../../errors.ts";
import { FakeLibvirtd } from "./server.ts";

t.test("opening checks what it speaks to", async (t) => {
  const daemon = await new FakeLibvirtd().start();
  t.teardown(() => daemon.remove());
  const options = { socket: daemon.socketPath, uri: "test:///default" };

  const connection = await Connection.open(options);
  t.equal(connection.libVersion, 9_000_000);
  t.same(daemon.calls, ["auth_list", "connect_supports_feature", "connect_open", "connect_get_lib_version"]);
  await connection.close();
  t.equal(connection.alive, false);

  daemon.libVersion = 5_010_000n;
  await t.rejects(Connection.open(options), { code: "E_LIBVIRT", message: /5\.10\.0 is too old/ });
  daemon.libVersion = 9_000_000n;

  daemon.authTypes = [2];
  await t.rejects(Connection.open(options), { code: "E_NO_LIBVIRT", message: /wants authentication/ });
  daemon.authTypes = [0];

  daemon.tricks.set("connect_open", [{ code: 38, message: "no connection driver available" }]);
  const refused = await Connection.open(options).then(
    () => undefined,
    (error: unknown) => error as AgentError,
  );
  t.ok(refused instanceof LibvirtError);
});

t.test("domains in node-libvirt's words", async (t) => {
  const daemon = await new FakeLibvirtd().start();
  t.teardown(() => daemon.remove());
  const connection = await Connection.open({ socket: daemon.socketPath, uri: "test:///default" });
  t.teardown(() => connection.close());
  const defined = await connection.defineDomain("<domain><name>one</name></domain>");
  t.equal(defined.name, "one");
  t.equal(await defined.isRunning(), false);
  const domain = await connection.createDomain("<domain><name>one</name></domain>", { autodestroy: false });
  t.equal(await domain.isRunning(), true);
  t.same(
    (await connection.listAllDomains()).map((one) => one.name),
    ["one"],
  );
  t.match(await (await connection.lookupDomainByName("one")).xml(), "<name>one</name>");
  await domain.destroy();
  await t.rejects(domain.destroy(), { code: "E_LIBVIRT", libvirtCode: 55 });
  await domain.undefine();
  await t.rejects(connection.lookupDomainByName("one"), { code: "E_LIBVIRT", libvirtCode: 42 });
});
