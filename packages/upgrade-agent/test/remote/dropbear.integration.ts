/** The same calls against what they are made for: dropbear in a domain (a container, because that starts fastest). */
import { execFileSync } from "node:child_process";
import { randomBytes } from "node:crypto";
import { chmodSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import * as tar from "tar";
import t from "tap";
import { generateDomainKey, openSession, type Session } from "../../remote/index.ts";
import { commandBytesMax } from "../../remote/shell.ts";
import { startContainer, type Container } from "../image/container.ts";
import { missing, storeIn } from "../image/needs.ts";

const skip = missing("mmdebstrap", "unshare", "ip");
const { privateKey, publicKey } = generateDomainKey();
const directory = mkdtempSync(join(tmpdir(), "vmim-"));
chmodSync(directory, 0o711);
const state = join(directory, "state");
const store = storeIn(state);
let container: Container;
let session: Session;
t.setTimeout(600_000);

t.before(async () => {
  if (skip !== false) return;
  mkdirSync(state);
  execFileSync("mount", ["-t", "tmpfs", "-o", "size=96m", "tmpfs", state]);
  await store.build({});
  const { path } = await store.prepareDisk("dropbear", "directory");
  container = await startContainer({ root: path, directory, authorizedKey: publicKey, index: 3 });
  session = await openSession({ address: container.address, privateKey });
});

t.teardown(async () => {
  if (skip === false) {
    await session.close();
    await container.remove();
    await store.removeDisk("dropbear");
    execFileSync("umount", [state]);
  }
  rmSync(directory, { recursive: true });
});

t.test("status, outputs, environment, input", { skip }, async (t) => {
  t.match(await session.exec("echo out; echo err >&2; exit 7"), {
    exitCode: 7,
    output: /^(out\nerr|err\nout)\n$/,
  });
  t.match(await session.exec("kill -9 $$"), { exitCode: 137 });
  t.match(await session.exec('printf %s "$VM_X"', { env: { VM_X: "a 'b' $c" } }), { output: "a 'b' $c" });
  t.match(await session.exec("cat"), { exitCode: 0, output: "" });
  t.match(await session.exec("command -v node vm-register ip ps ethtool"), { exitCode: 0 });
  const { output } = await session.exec("seq 1000000");
  t.ok(output.endsWith("\n1000000\n"), "a long output arrives to its end");
});

t.test("the longest command", { skip }, async (t) => {
  const frame = "exec timeout -k 5 60.000 /bin/sh -c 'true ' </dev/null".length;
  t.match(await session.exec(`true ${"x".repeat(commandBytesMax - frame)}`), { exitCode: 0 });
});

t.test("deadline and abort end the command in the domain", { skip }, async (t) => {
  await t.rejects(session.exec("echo begun; sleep 1001 & wait", { timeoutMs: 400 }), { code: "E_DEADLINE" });
  const aborter = new AbortController();
  const running = session.exec("sleep 1002", { signal: aborter.signal });
  await sleep(300);
  aborter.abort();
  await t.rejects(running, { name: "AbortError" });
  t.match(await session.exec("echo fine"), { output: "fine\n" }, "the connection is as good as before");
  t.match(await session.exec("sleep 0.3; pgrep -af 'sleep 100[12]$'"), { exitCode: 1, output: "" });
});

t.test("what is put in the background outlives the session", { skip }, async (t) => {
  const other = await openSession({ address: container.address, privateKey });
  t.match(await other.exec("setsid sleep 1003 >/dev/null 2>&1 </dev/null &"), { exitCode: 0 });
  await other.close();
  t.match(await session.exec("pgrep -f 'sleep 1003$'"), { exitCode: 0 });
});

t.test("commands that begin while others end (dropbear loses one in fifty)", { skip }, async (t) => {
  const rows = await Promise.all(
    [1, 2, 3].map(async (row) => {
      const outputs: string[] = [];
      for (let n = 0; n < 80; n += 1) {
        const { output } = await session.exec(`sleep 0.00${row}; echo ${n}`);
        outputs.push(output);
      }
      return outputs;
    }),
  );
  const expected = Array.from({ length: 80 }, (_, n) => `${n}\n`);
  t.same(rows, [expected, expected, expected]);
});

t.test("a release goes in", { skip }, async (t) => {
  const from = join(directory, "release");
  mkdirSync(from);
  writeFileSync(join(from, "data"), randomBytes(10_000_000));
  writeFileSync(join(from, "run"), "#!/bin/sh\necho runs\n", { mode: 0o755 });
  const file = join(directory, "release.tar.gz");
  await tar.create({ gzip: true, cwd: from, file }, ["."]);
  const startedAt = performance.now();
  await session.copyIn(file, "/opt/app");
  t.comment(`10 MB in ${((performance.now() - startedAt) / 1000).toFixed(2)} s`);
  t.match(await session.exec("/opt/app/run; stat -c %U /opt/app/data"), { output: "runs\nroot\n" });
  await session.copyIn(file, "/opt/app");
  t.match(await session.exec("ls /opt"), { output: "app\n" }, "again, and nothing is left beside it");
});

t.test("a release that does not fit", { skip }, async (t) => {
  const file = join(directory, "large.tar.gz");
  writeFileSync(file, randomBytes(120_000_000));
  await t.rejects(session.copyIn(file, "/opt/app"), { code: "E_DISK_FULL" });
  t.match(await session.exec("/opt/app/run; ls /opt"), { output: "runs\napp\n" }, "the old one stays");
});

t.test("a domain that vanishes", { skip }, async (t) => {
  const other = await openSession({ address: container.address, privateKey });
  const running = other.exec("sleep 1004");
  running.catch(() => {});
  await sleep(200);
  container.terminate();
  await t.rejects(running, { code: "E_SSH" });
  await other.close();
});
