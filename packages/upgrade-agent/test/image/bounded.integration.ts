/** Needs root. A container's disk of a certain size: full for the guest, while the host keeps the rest. */
import { execFileSync } from "node:child_process";
import { chmodSync, existsSync, mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import t from "tap";
import { missing, storeIn } from "./needs.ts";

const SIZE_MIB = 64;
t.setTimeout(900_000);

t.test("a disk with a size", { skip: missing("mmdebstrap", "mkfs.ext4") }, async (t) => {
  const directory = mkdtempSync(join(tmpdir(), "vmim-"));
  chmodSync(directory, 0o711);
  const store = storeIn(directory);
  t.teardown(async () => {
    for (const name of await store.listDisks()) await store.removeDisk(name);
    rmSync(directory, { recursive: true });
  });
  await store.build({});
  const place = join(directory, "disks/vmim-small");
  const bytesOnHost = (): number => statSync(join(place, "disk.ext4")).blocks * 512;
  const disk = await store.prepareDisk("vmim-small", "directory", { sizeMiB: SIZE_MIB });

  t.ok(existsSync(join(disk.path, "etc/debian_version")), "the base is there");
  t.ok(bytesOnHost() < 8 * 1024 ** 2, "what nobody wrote takes nothing");
  writeFileSync(join(disk.path, "kept"), "kept");
  t.throws(() => writeFileSync(join(disk.path, "filling"), Buffer.alloc((SIZE_MIB + 1) * 1024 ** 2)), {
    code: "ENOSPC",
  });
  execFileSync("sync", ["--file-system", disk.path]);
  t.ok(bytesOnHost() <= SIZE_MIB * 1024 ** 2);

  execFileSync("umount", [disk.path]);
  execFileSync("umount", [join(place, "store")]);
  const found = await store.findDisk("vmim-small", "directory");
  t.same(found, disk, "after a boot of the host it is mounted again");
  t.equal(readFileSync(join(disk.path, "kept"), "utf8"), "kept");

  await store.removeDisk("vmim-small");
  t.notOk(existsSync(place));
  t.notMatch(readFileSync("/proc/self/mountinfo", "utf8"), directory);
  t.notMatch(execFileSync("losetup", ["--all"], { encoding: "utf8" }), directory);
});
