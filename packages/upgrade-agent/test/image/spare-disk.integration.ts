/** Needs root. Disks of warm spares and of their clones: who stands on whom, and what may go when. */
import { execFileSync, spawnSync } from "node:child_process";
import { chmodSync, existsSync, mkdtempSync, rmSync, statSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import t from "tap";
import type { DomainDisk } from "../../domain/hypervisor.ts";
import { missing, storeIn } from "./needs.ts";

const skip = missing("mmdebstrap", "qemu-img", "qemu-io");
const directory = mkdtempSync(join(tmpdir(), "its-disk-"));
chmodSync(directory, 0o711);
const store = storeIn(directory);
t.teardown(async () => {
  for (const name of await store.listDisks()) await store.removeDisk(name);
  rmSync(directory, { recursive: true });
});
t.setTimeout(600_000);

function mark(disk: DomainDisk, pattern: string, at: string): void {
  const write = `write -P ${pattern} ${at} 64k`;
  execFileSync("qemu-io", ["-f", "qcow2", "-c", write, disk.path], { stdio: "ignore" });
}

function holds(disk: DomainDisk, pattern: string, at: string): boolean {
  const read = `read -P ${pattern} ${at} 64k`;
  const { status, stdout, stderr } = spawnSync("qemu-io", ["-r", "-f", "qcow2", "-c", read, disk.path], {
    encoding: "utf8",
  });
  if (status === 0) return true;
  if (stdout.includes("Pattern verification failed")) return false;
  throw new Error(stderr);
}

t.test("clones stand on what their spare had written, and outlive it", { skip }, async (t) => {
  const base = await store.build({});
  const spare = await store.prepareDisk("spare.x", "qcow2");
  t.match(await store.diskOrigin("spare.x"), { state: "fresh", digests: [base.digest], kind: "base" });
  await store.useDisk("spare.x");
  mark(spare, "0xab", "0");
  await store.freezeDisk("spare.x");
  t.equal(statSync(join(dirname(spare.path), "frozen.qcow2")).mode & 0o777, 0o440);

  const [one, two] = [await store.prepareDisk("one", "qcow2"), await store.prepareDisk("two", "qcow2")];
  const startedAt = performance.now();
  await store.stackDisk("one", "spare.x");
  t.comment(`stacked in ${(performance.now() - startedAt).toFixed(1)} ms`);
  await store.stackDisk("two", "spare.x");
  t.equal((await store.diskOrigin("one"))?.state, "cloning");
  await store.useDisk("one");
  t.equal((await store.diskOrigin("one"))?.state, "used");
  mark(one, "0xcd", "1M");
  t.ok(holds(one, "0xab", "0"));
  t.notOk(holds(two, "0xcd", "1M"), "one clone does not see what another writes");

  await store.removeDisk("spare.x");
  t.ok(holds(one, "0xab", "0") && holds(one, "0xcd", "1M"), "the spare is gone, its clone is not");
  const { kept } = await store.prune({ dryRun: true });
  t.match(
    kept.find(({ digest }) => digest === base.digest),
    { why: "used" },
    "nor is the image under it",
  );

  await store.renewDisk("two");
  t.equal((await store.diskOrigin("two"))?.state, "fresh");
  t.notOk(holds(two, "0xab", "0"), "nothing of the spare is left in a renewed disk");
  t.notOk(existsSync(join(dirname(two.path), "frozen.qcow2")));
  t.same(await store.findDisk("two", "qcow2"), two);
});

t.test("what is not known to be fresh is in use", { skip }, async (t) => {
  const disk = await store.prepareDisk("old", "qcow2");
  rmSync(join(dirname(disk.path), "state"));
  t.equal((await store.diskOrigin("old"))?.state, "used", "as disks of older agents are");
  t.equal(await store.diskOrigin("never-was"), undefined);
});
