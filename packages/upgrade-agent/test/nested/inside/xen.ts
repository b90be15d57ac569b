/**
 * Runs inside an emulated machine under Xen, by plain Node; nested-xen.long.ts reports its assertions. What
 * domain.integration.ts does for emulation and containers, on a real Xen: its paravirtual guests and those that the
 * processor holds apart.
 */
import { execFileSync } from "node:child_process";
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import t from "tap";
import type { Test } from "tap";
import { LIBVIRT_SOCKET } from "@version-manager/testbed/libvirt";
import { openHypervisor, probeHypervisor } from "../../../domain/index.ts";
import { FLAVOURS } from "../../../domain/libvirt/flavours.ts";
import { bootOnce } from "../../../domain/probe/boot.ts";
import { HELLO } from "../../../domain/probe/guest.ts";
import type { Guest, GuestOptions } from "../../../domain/probe/guest.ts";
import { xenGuest as tinyGuest } from "../../../domain/probe/xen-guest.ts";
import { basePaths } from "../../../image/bases.ts";
import type { Hypervisor } from "../../../domain/hypervisor.ts";
import { compliance } from "../../domain/compliance.ts";
import { consoleOf, xenGuests } from "./xen-guests.ts";

t.setTimeout(3_000_000);

const [directory, xenGuest] = process.argv.slice(2);
if (directory === undefined || (xenGuest !== "pv" && xenGuest !== "pvh"))
  throw new Error("usage: xen.ts DIRECTORY-OF-THE-BASE pv|pvh");
const linux = basePaths({ directory });
const home = mkdtempSync(join(tmpdir(), "itx-"));
t.teardown(() => rmSync(home, { recursive: true, force: true }));
const socket = LIBVIRT_SOCKET;

/** Guests, their disks' programs, interfaces and console links that are there beyond those of the machine itself. */
function leftOnHost(): readonly string[] {
  const domains = execFileSync("xl", ["list"], { encoding: "utf8" }).trim().split("\n").slice(2);
  const links = readdirSync("/sys/class/net").filter((name) => /^(vif|xb)/.test(name));
  const programs = execFileSync("ps", ["-eo", "args="], { encoding: "utf8" })
    .split("\n")
    .filter((line) => line.includes("-xen-domid"));
  return [...domains, ...links, ...programs, ...readdirSync("/var/log/xen/console")];
}

async function nothingIsLeft(t: Test): Promise<void> {
  // Interfaces and disks' programs vanish a moment after their domain.
  for (let tries = 0; leftOnHost().length > 0 && tries < 300; tries++) await sleep(100);
  t.same(leftOnHost(), [], "nothing is left on the host");
}

/** The guest reaches user space, and what it prints is in the domain's log. */
async function saysHello(t: Test, hypervisor: Hypervisor, name: string): Promise<void> {
  const spec = await xenGuests(home, linux).spec(name);
  const startedAt = performance.now();
  await hypervisor.create(spec);
  t.comment(`created after ${((performance.now() - startedAt) / 1000).toFixed(1)} s`);
  for (let tries = 0; !consoleOf(spec).includes(HELLO) && tries < 1500; tries++) await sleep(200);
  t.match(consoleOf(spec), HELLO, "its console is in its log");
  t.comment(`hello after ${((performance.now() - startedAt) / 1000).toFixed(1)} s`);
  await hypervisor.destroy(name);
}

/** The tiny guest with an instruction that there is not in the place of its first. */
async function crashingGuest(options: GuestOptions): Promise<Guest> {
  const guest = await tinyGuest(options);
  const kernel = join(options.directory, "kernel");
  const image = readFileSync(kernel);
  const entry = Number(image.readBigUInt64LE(24) & 0xf_ffffn);
  image.write("0f0b", entry, "hex");
  writeFileSync(kernel, image);
  return guest;
}

t.test("the probe trusts no Xen whose guest crashes", async (t) => {
  const scratchDirectory = join(home, "crash");
  const options = { socket, uri: FLAVOURS.xen.uri, scratchDirectory, timeoutMs: 60_000 };
  await t.rejects(bootOnce({ ...options, makeGuest: crashingGuest }), /the tiny guest crashed/);
  await nothingIsLeft(t);
});

t.test("the probe", async (t) => {
  const chosen = await probeHypervisor({ socket, cacheDirectory: join(home, "probe"), prefer: "xen" });
  t.match(chosen, { kind: "xen", verdicts: [{ kind: "xen", works: true }] });
  t.match(chosen.reason, /^a tiny guest ran and switched itself off after/);
  t.comment(chosen.reason);
});

t.test(`guests of the kind ${xenGuest} comply`, async (t) => {
  const hypervisor = await openHypervisor({ kind: "xen", socket, xenGuest });
  t.teardown(() => hypervisor.close());
  const { versions, ...subject } = xenGuests(home, linux);
  await saysHello(t, hypervisor, `itx-${xenGuest}-hello`);
  // The table has one column for Xen, which is what the product makes unless it is told otherwise.
  const recorded = xenGuest === "pv" && versions !== undefined ? { versions } : {};
  compliance(t, `itx-${xenGuest}`, { ...subject, ...recorded, hypervisor });
  t.test("afterwards", nothingIsLeft);
});
