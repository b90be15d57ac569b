import { join } from "node:path";
import t from "tap";
import type { Test } from "tap";
import { AgentError } from "../../../../errors.ts";
import { Channel } from "../../../../domain/libvirt/rpc/channel.ts";
import { LibvirtError } from "../../../../domain/libvirt/rpc/error.ts";
import { procedures } from "../../../../domain/libvirt/rpc/protocol.ts";
import type { LifecycleMessage } from "../../../../domain/libvirt/rpc/protocol.ts";
import { FakeLibvirtd } from "../server.ts";

const { authList, libVersion, listAllDomains, lookupByName } = procedures;

async function setup(t: Test, callTimeoutMs = 5000, heard: LifecycleMessage[] = []) {
  const daemon = await new FakeLibvirtd().start();
  const onLifecycle = (message: LifecycleMessage): void => void heard.push(message);
  const channel = await Channel.connect({ address: daemon.socketPath, callTimeoutMs, onLifecycle });
  t.teardown(async () => {
    channel.close();
    await daemon.remove();
  });
  return { daemon, channel, heard };
}

async function failure(work: Promise<unknown>): Promise<AgentError> {
  return await work.then(
    () => Promise.reject(new Error("it should have failed")),
    (error: unknown) => error as AgentError,
  );
}

void t.test("calls in parallel get their own answers, in whatever order these come", async (t) => {
  const { daemon, channel } = await setup(t);
  daemon.delaysMs.set("auth_list", 60);
  daemon.delaysMs.set("connect_get_lib_version", 20);
  const order: string[] = [];
  const noted = async <T>(name: string, call: Promise<T>): Promise<T> => {
    const result = await call;
    order.push(name);
    return result;
  };
  const answers = await Promise.all([
    noted("auth", channel.call(authList, undefined)),
    noted("version", channel.call(libVersion, undefined)),
    noted("list", channel.call(listAllDomains, undefined)),
  ]);
  t.same(answers, [[0], 9_000_000n, []]);
  t.same(order, ["list", "version", "auth"]);
});

void t.test("a refusal keeps libvirt's numbers and leaves the connection usable", async (t) => {
  const { channel } = await setup(t);
  const error = await failure(channel.call(lookupByName, "nobody"));
  t.ok(error instanceof LibvirtError);
  t.match(error, { code: "E_LIBVIRT", libvirtCode: 42, libvirtDomain: 10, message: /Domain not found/ });
  t.same(await channel.call(authList, undefined), [0]);
});

void t.test("no socket, no daemon: one clear error that says how to start it", async (t) => {
  const address = join(t.testdir(), "missing");
  const error = await failure(Channel.connect({ address, callTimeoutMs: 1000 }));
  t.equal(error.code, "E_NO_LIBVIRT");
  t.match(error.message, /systemctl start libvirtd/);
});

void t.test(
  "a daemon that falls silent, hangs up or talks nonsense fails every call that waits",
  async (t) => {
    for (const trick of ["silence", "hang up", "garbage"] as const) {
      const { daemon, channel } = await setup(t, 150);
      daemon.tricks.set("connect_get_lib_version", [trick]);
      daemon.delaysMs.set("auth_list", 10_000);
      const errors = await Promise.all([
        failure(channel.call(authList, undefined)),
        failure(channel.call(libVersion, undefined)),
      ]);
      t.same(
        errors.map((error) => error.code),
        ["E_NO_LIBVIRT", "E_NO_LIBVIRT"],
        trick,
      );
      t.equal(channel.alive, false);
      t.equal(
        (await failure(channel.call(authList, undefined))).code,
        "E_NO_LIBVIRT",
        "and every later one at once",
      );
      t.equal(((await channel.ended) as AgentError).code, "E_NO_LIBVIRT");
    }
  },
);

void t.test("an answer that does not decode ends the connection, not the process", async (t) => {
  const { daemon, channel } = await setup(t);
  daemon.libVersion = 9n;
  daemon.authTypes = Array.from({ length: 21 }, () => 0);
  t.equal((await failure(channel.call(authList, undefined))).code, "E_NO_LIBVIRT");
  t.equal(channel.alive, false);
});

void t.test("events are heard beside calls", async (t) => {
  const { daemon, channel, heard } = await setup(t);
  await channel.call(procedures.registerLifecycle, undefined);
  daemon.tell(daemon.define("<name>one</name>"), 2);
  await channel.call(authList, undefined);
  t.match(heard, [{ event: 2, domain: { name: "one" } }]);
});

void t.test(
  "pings are answered, and a daemon that answers none is given up before its calls time out",
  async (t) => {
    const daemon = await new FakeLibvirtd().start();
    t.teardown(() => daemon.remove());
    const keepAlive = { intervalMs: 30, count: 2 };
    const channel = await Channel.connect({ address: daemon.socketPath, callTimeoutMs: 600_000, keepAlive });
    daemon.delaysMs.set("auth_list", 500);
    t.same(await channel.call(authList, undefined), [0], "a long call outlives many intervals");
    t.ok(daemon.pings > 0, "it was asked meanwhile");

    daemon.ping();
    await daemon.ponged;

    daemon.hangs = true;
    const error = await failure(channel.call(libVersion, undefined));
    t.match(error, { code: "E_NO_LIBVIRT", message: /no sign of life/ });
  },
);
