/** Copying a tarball over SSH, against a server on loopback. */
import { execFileSync } from "node:child_process";
import { createHash } from "node:crypto";
import {
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { join } from "node:path";
import * as tar from "tar";
import t from "tap";
import { receiveCommand } from "../../remote/copy.ts";
import { generateDomainKey, openSession } from "../../remote/index.ts";
import { startServer } from "./server.ts";

const key = generateDomainKey();
const server = await startServer({ authorizedKey: key.publicKey });
const session = await openSession({ address: "127.0.0.1", port: server.port, privateKey: key.privateKey });
t.teardown(async () => {
  await session.close();
  await server.close();
});

const directory = t.testdir({
  release: { "version.json": "{}", bin: { start: "#!/bin/sh\n" } },
  next: { "version.json": "{ }" },
  "not-a-tarball": "hello",
});
const tarball = join(directory, "release.tar.gz");
await tar.create({ gzip: true, cwd: join(directory, "release"), file: tarball }, ["."]);
const target = join(directory, "it's opt/app");

t.test("unpacks what the tarball holds and tells how far it is", async (t) => {
  const progress: [number, number][] = [];
  await session.copyIn(tarball, target, { onProgress: (sent, total) => progress.push([sent, total]) });
  t.equal(readFileSync(join(target, "bin/start"), "utf8"), "#!/bin/sh\n");
  const { size } = statSync(tarball);
  t.same(progress.at(-1), [size, size]);
});

t.test("another tarball takes the place of the first, whole", async (t) => {
  const next = join(directory, "next.tar.gz");
  await tar.create({ gzip: true, cwd: join(directory, "next"), file: next }, ["."]);
  await session.copyIn(next, target);
  t.same(readdirSync(target), ["version.json"]);
  t.equal(readFileSync(join(target, "version.json"), "utf8"), "{ }");
});

/** A search path with these programs of this machine and no others. */
function pathOf(name: string, ...programs: readonly string[]): string {
  const path = join(directory, name);
  mkdirSync(path);
  for (const program of programs) {
    const found = ["/usr/bin", "/bin"].map((at) => join(at, program)).find((file) => existsSync(file));
    if (found !== undefined) symlinkSync(found, join(path, program));
  }
  return path;
}

t.test("with busybox in the domain, and without", async (t) => {
  const plain = ["sh", "rm", "mkdir", "cat", "sha256sum", "tar", "gzip", "mv"];
  for (const [name, programs] of [
    ["without", plain],
    ["with", existsSync("/bin/busybox") ? ["busybox", "gzip"] : [...plain, "busybox"]],
  ] as const) {
    const place = join(directory, `by path ${name}`);
    const input = readFileSync(tarball);
    const command = receiveCommand(place, createHash("sha256").update(input).digest("hex"));
    const options = { input, env: { PATH: pathOf(name, ...programs) } };
    for (const again of [false, true]) {
      execFileSync("/bin/sh", ["-c", command], options);
      t.same(readdirSync(place).toSorted(), ["bin", "version.json"], `${name} busybox, again: ${again}`);
      t.notOk(existsSync(`${place}.incoming`));
    }
  }
});

t.test("what is no tarball leaves the directory as it was, and nothing beside it", async (t) => {
  await t.rejects(session.copyIn(join(directory, "not-a-tarball"), target), { code: "E_SSH" });
  t.same(readdirSync(target), ["version.json"]);
  t.same(readdirSync(join(directory, "it's opt")), ["app"]);
});

t.test("a file that changes while it is sent is not unpacked", async (t) => {
  const changing = join(directory, "changing.tar.gz");
  writeFileSync(changing, Buffer.alloc(1_000_000, 1));
  let first = true;
  const copying = session.copyIn(changing, target, {
    onProgress: () => {
      if (first) writeFileSync(changing, Buffer.alloc(1_000_000, 2));
      first = false;
    },
  });
  await t.rejects(copying, { code: "E_SSH", message: /altered/ });
  t.same(readdirSync(target), ["version.json"]);
});

t.test("refuses relative directories and the root", async (t) => {
  for (const wrong of ["", "app", "/", "//"]) {
    await t.rejects(session.copyIn(tarball, wrong), { code: "E_BAD_REQUEST" }, JSON.stringify(wrong));
  }
});

t.test("a file that is not there", async (t) => {
  await t.rejects(session.copyIn(join(directory, "absent"), target), { code: "ENOENT" });
});

t.test("aborted in the middle leaves the old contents", async (t) => {
  const large = join(directory, "large");
  mkdirSync(join(directory, "x"));
  writeFileSync(large, Buffer.alloc(30_000_000, 7));
  const aborter = new AbortController();
  const copying = session.copyIn(large, target, {
    signal: aborter.signal,
    onProgress: () => aborter.abort(),
  });
  await t.rejects(copying, { name: "AbortError" });
  t.same(readdirSync(target), ["version.json"]);
});
