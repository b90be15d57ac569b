/** The archive is what the kernel, and cpio, read. */
import { execFileSync, spawnSync } from "node:child_process";
import t from "tap";
import { cpio } from "../../../image/build/cpio.ts";

t.test("golden bytes of one file", async (t) => {
  const archive = cpio([{ kind: "file", path: "hi", mode: 0o755, contents: Buffer.from("hello") }]);
  const first = archive.subarray(0, 124).toString("latin1");
  t.equal(
    first,
    "070701" +
      "00000001000081ed0000000000000000" +
      "00000001000000000000000500000000" +
      "00000000000000000000000000000003" +
      "00000000" +
      "hi\0\0\0\0" +
      "hello\0\0\0",
  );
  t.equal(archive.length % 4, 0);
  t.ok(archive.subarray(124).toString("latin1").includes("TRAILER!!!\0"));
});

const hasCpio = spawnSync("busybox", ["cpio", "--help"]).status === 0;

t.test("busybox reads it", { skip: hasCpio ? false : "busybox is not installed" }, async (t) => {
  const directory = t.testdir({});
  const archive = cpio([
    { kind: "directory", path: "bin", mode: 0o755 },
    { kind: "file", path: "bin/x", mode: 0o700, contents: Buffer.from("abc") },
    { kind: "file", path: "empty", mode: 0o644, contents: Buffer.alloc(0) },
  ]);
  execFileSync("busybox", ["cpio", "-i", "-d"], {
    cwd: directory,
    input: archive,
    stdio: ["pipe", "ignore", "ignore"],
  });
  const seen = execFileSync("sh", ["-c", "cat bin/x; stat -c ' %a %F' bin bin/x empty"], { cwd: directory });
  t.equal(seen.toString(), "abc 755 directory\n 700 regular file\n 644 regular empty file\n");
});
