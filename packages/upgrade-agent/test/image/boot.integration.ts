/** The base boots as a virtual machine and as a container, and both turn out alike. */
import { chmodSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import t, { type Test } from "tap";
import { generateDomainKey, openSession, type Session } from "../../remote/index.ts";
import { startContainer, type Container } from "./container.ts";
import { startMachine } from "./machine.ts";
import { missing, storeIn } from "./needs.ts";

const skip = missing("mmdebstrap", "qemu-system-x86_64", "qemu-img", "unshare", "ip");
const { privateKey, publicKey } = generateDomainKey();
const directory = mkdtempSync(join(tmpdir(), "vmim-"));
chmodSync(directory, 0o711);
const store = storeIn(directory);
t.teardown(async () => {
  for (const name of await store.listDisks()) await store.removeDisk(name);
  rmSync(directory, { recursive: true });
});
/** An emulated machine on a busy host. */
t.setTimeout(600_000);
const deadlineMs = 120_000;

t.before(async () => {
  if (skip === false) await store.build({});
});

async function answer(session: Session, command: string): Promise<string> {
  return (await session.exec(command, { timeoutMs: 60_000 })).output.trim();
}

/** What must be the same whatever runs the domain. */
async function looksRight(t: Test, session: Session, address: string): Promise<void> {
  t.match(await answer(session, "node -v"), /^v\d+\./);
  t.match(await answer(session, "cat /etc/hosts"), new RegExp(`^127.0.0.1 localhost\n${address} vmim-.$`));
  t.match(await answer(session, "hostname"), /^vmim-.$/);
  t.match(await answer(session, ". /run/version-manager/identity; echo $VM_SERVICE $VM_VERSION"), "kv 7");
  t.match(await answer(session, "ip -o -4 address show eth0"), new RegExp(` inet ${address}/32 `));
  const address6 = await answer(session, "ip -o -6 address show dev eth0 scope global");
  t.match(address6, / inet6 fd10:99::7\/128 /);
  t.notMatch(address6, /tentative/);
  t.match(await answer(session, "ip -6 route show default"), /^default via fe80::1 dev eth0 /);
  t.match(await answer(session, "ip -o link show eth0"), / mtu 1484 /);
  t.match(await answer(session, "ip route"), /^default via (\S+) dev eth0 \n\1 dev eth0 scope link$/);
  t.match(
    await answer(session, "cat /proc/sys/net/ipv4/ip_local_port_range"),
    /^(32768\t40001|40002\t50001)$/,
  );
  t.match(await answer(session, "ethtool -k eth0"), /^tx-udp-segmentation: off/m);
  const secondsOff = Number(await answer(session, "date +%s.%N")) - Date.now() / 1000;
  t.ok(Math.abs(secondsOff) < 2, `the clock is ${secondsOff} s off`);
  t.match(await answer(session, "vm-register --help"), /^Usage: vm-register/);
  t.equal(
    await answer(session, "(sleep 0.1 &) ; sleep 0.5; ps -eo stat | grep -c ^Z"),
    "0",
    "orphans are collected",
  );
  t.equal(
    await answer(session, "stat -c %U:%a /root/.ssh/authorized_keys /etc/shadow | tr '\n' ' '"),
    "root:600 root:640",
  );
}

t.test("as a virtual machine", { skip }, async (t) => {
  const disk = await store.prepareDisk("machine", "qcow2");
  if (disk.kind !== "qcow2") throw new Error("wrong kind");
  const startedAt = performance.now();
  const machine = await startMachine({ disk, directory, authorizedKey: publicKey });
  t.teardown(() => machine.remove());
  const { address } = machine;
  const session = await openSession({ address, privateKey, deadlineMs });
  await session.exec("true");
  t.comment(`SSH command after ${((performance.now() - startedAt) / 1000).toFixed(1)} s`);
  await looksRight(t, session, address);
  t.match(machine.console(), /^version-manager: ready/m);

  const stranger = openSession({ address, privateKey: generateDomainKey().privateKey, deadlineMs });
  await t.rejects(stranger, { code: "E_SSH" }, "another key is refused");

  await session.exec(
    "setsid sh -c 'trap \"echo orderly >/root/ended; exit\" TERM; while :; do sleep 0.1; done' >/dev/null 2>&1 & sleep 2",
  );
  await machine.pressPowerButton();
  await machine.ended;
  await machine.remove();
  t.match(machine.console(), /^version-manager: powering off/m);
  await session.close();

  const again = await startMachine({ disk, directory, authorizedKey: publicKey });
  t.teardown(() => again.remove());
  const second = await openSession({ address, privateKey, deadlineMs });
  t.equal(
    await answer(second, "cat /root/ended"),
    "orderly",
    "processes were told, and what they wrote is there",
  );
  await second.close();
});

t.test("as containers", { skip }, async (t) => {
  const containers: Container[] = [];
  const sessions: Session[] = [];
  t.teardown(async () => {
    for (const session of sessions) await session.close();
    for (const container of containers) await container.remove();
  });
  for (const index of [1, 2]) {
    const disk = await store.prepareDisk(`container-${index}`, "directory");
    const startedAt = performance.now();
    const container = await startContainer({ root: disk.path, directory, authorizedKey: publicKey, index });
    containers.push(container);
    const session = await openSession({ address: container.address, privateKey, deadlineMs });
    await session.exec("true");
    t.comment(`SSH command after ${((performance.now() - startedAt) / 1000).toFixed(2)} s`);
    sessions.push(session);
    await looksRight(t, session, container.address);
    t.match(container.console(), /^version-manager: ready/m);
  }
  const keys = await Promise.all(sessions.map((session) => answer(session, "sha256sum /etc/dropbear/*")));
  t.not(keys[0], keys[1], "each has host keys of its own");

  const [first] = containers;
  first?.terminate();
  t.equal(await first?.ended, 0, "ends in order when told to");
  t.match(first?.console(), /^version-manager: powering off/m);
});
