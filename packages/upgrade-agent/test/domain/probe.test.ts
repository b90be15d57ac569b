import { existsSync, readFileSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import t from "tap";
import { openHypervisor, probeHypervisor } from "../../domain/index.ts";
import { recallProbe } from "../../domain/probe.ts";
import { HELLO, tinyKernel } from "../../domain/probe/guest.ts";
import { tinyXenKernel } from "../../domain/probe/xen-guest.ts";
import { FakeLibvirtd } from "./libvirt/server.ts";

t.test("the tiny kernel is a multiboot image that says hello", async (t) => {
  const image = tinyKernel();
  const word = (index: number): number => image.readUInt32LE(index * 4);
  t.equal(word(0), 0x1bad_b002);
  t.equal((word(0) + word(1) + word(2)) % 2 ** 32, 0, "the checksum makes the sum zero");
  const [load, entry] = [word(4), word(7)];
  const text = image.readUInt32LE(entry - load + 7) - load;
  t.equal(image.subarray(text, image.indexOf(0, text)).toString(), `${HELLO}\r\n`);
});

t.test(
  "the tiny kernel for Xen is an executable whose notes lead to code that asks for its end",
  async (t) => {
    const image = tinyXenKernel();
    t.equal(image.toString("latin1", 0, 4), "\x7fELF");
    const [entry, count] = [image.readBigUInt64LE(24), image.readUInt16LE(56)];
    const segments = Array.from({ length: count }, (_, index) => {
      const at = Number(image.readBigUInt64LE(32)) + index * image.readUInt16LE(54);
      const [offset, address, , bytes] = [8, 16, 24, 32].map((field) => image.readBigUInt64LE(at + field));
      return { type: image.readUInt32LE(at), offset: Number(offset), address, bytes: Number(bytes) };
    });
    const load = segments.find(({ type }) => type === 1);
    t.match(load, { offset: 0, bytes: image.length }, "all of it is loaded");
    const code = image.subarray(Number(entry - (load?.address ?? 0n)));
    t.equal(code.readUInt8(0), 0xb8, "mov eax");
    t.same([code.readUInt32LE(1), code.readUInt32LE(6)], [29, 2], "sched_op, SCHEDOP_shutdown");
    t.equal(code.readUInt32LE(17 + code.readInt32LE(13)), 0, "SHUTDOWN_poweroff");

    const noted = segments.find(({ type }) => type === 4);
    const notes = new Map<number, Buffer>();
    for (let at = noted?.offset ?? 0; at < (noted?.offset ?? 0) + (noted?.bytes ?? 0);) {
      const [nameBytes = 0, bytes = 0, type = 0] = [0, 4, 8].map((field) => image.readUInt32LE(at + field));
      t.equal(image.toString("latin1", at + 12, at + 12 + nameBytes), "Xen\0");
      notes.set(type, image.subarray(at + 16, at + 16 + bytes));
      at += 16 + bytes + (-bytes & 3);
    }
    t.equal(notes.get(1)?.readBigUInt64LE(), entry);
    t.equal(notes.get(5)?.toString(), "xen-3.0\0");
    t.equal(notes.get(8)?.toString(), "generic\0");
  },
);

t.test("without libvirt the probe says that, and nothing about hypervisors", async (t) => {
  const socket = join(t.testdir(), "missing");
  const options = { socket, cacheDirectory: t.testdir(), prefer: "auto" } as const;
  await t.rejects(probeHypervisor(options), { code: "E_NO_LIBVIRT" });
  await t.rejects(openHypervisor({ kind: "lxc", socket }), { code: "E_NO_LIBVIRT" });
});

const onXen = existsSync("/proc/xen") && "this machine runs under Xen";

t.test(
  "a wanted kind that cannot work is refused with the reason and what to do",
  { skip: onXen },
  async (t) => {
    const daemon = await new FakeLibvirtd().start();
    t.teardown(() => daemon.remove());
    const options = { socket: daemon.socketPath, cacheDirectory: t.testdir() };
    const refused = { code: "E_NO_HYPERVISOR", message: /no \/proc\/xen.*boot the machine under Xen/ };
    await t.rejects(probeHypervisor({ ...options, prefer: "xen" }), refused);
    t.notOk(existsSync(join(options.cacheDirectory, "hypervisor-probe.json")), "a failure is not remembered");
  },
);

const EMULATOR = "/usr/bin/qemu-system-x86_64";

t.test("what was proven is remembered until circumstances change", async (t) => {
  const daemon = await new FakeLibvirtd().start();
  t.teardown(() => daemon.remove());
  const cacheDirectory = t.testdir();
  const file = join(cacheDirectory, "hypervisor-probe.json");
  const bootId = readFileSync("/proc/sys/kernel/random/boot_id", "utf8").trim();
  const circumstances = {
    bootId,
    libVersion: 9_000_000,
    socket: daemon.socketPath,
    kernel: null,
    kernelTime: 0,
    emulatorTime: existsSync(EMULATOR) ? statSync(EMULATOR).mtimeMs : 0,
  };
  const verdicts = [{ kind: "lxc", works: true, reason: "a tiny container said hello" }];
  const remember = (change: object): void => {
    writeFileSync(file, JSON.stringify({ key: JSON.stringify({ ...circumstances, ...change }), verdicts }));
  };
  const options = { socket: daemon.socketPath, cacheDirectory, prefer: "lxc" } as const;

  remember({});
  t.match(await probeHypervisor(options), { kind: "lxc", reason: "a tiny container said hello" });
  daemon.tricks.set(
    "domain_create_xml",
    Array.from({ length: 4 }, () => ({ code: 38, message: "no" })),
  );
  for (const change of [{ bootId: "another" }, { libVersion: 1 }, { emulatorTime: 1 }]) {
    remember(change);
    await t.rejects(probeHypervisor(options), { code: "E_NO_HYPERVISOR" }, JSON.stringify(change));
  }
  remember({});
  t.same(await recallProbe(cacheDirectory), verdicts, "doctor reads it");
  remember({ bootId: "another" });
  t.same(await recallProbe(cacheDirectory), []);
  writeFileSync(file, "{ not json");
  t.same(await recallProbe(cacheDirectory), []);
  await t.rejects(probeHypervisor(options), { code: "E_NO_HYPERVISOR" });
});
