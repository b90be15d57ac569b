import { existsSync, mkdtempSync, readFileSync, rmSync } from "node:fs";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import t from "tap";
import type { Test } from "tap";
import { Service } from "../../node/service.ts";
import { isAlive } from "../../processes.ts";

/** A socket address has room for 107 characters; tap's own fixture directories are longer. */
function shortDirectory(t: Test): string {
  const directory = mkdtempSync(join(tmpdir(), "vmt-"));
  t.teardown(() => rmSync(directory, { recursive: true }));
  return directory;
}

async function until(condition: () => boolean | Promise<boolean>): Promise<void> {
  for (let tries = 0; tries < 1_000; tries += 1) {
    if (await condition()) return;
    await sleep(10);
  }
  throw new Error("waited in vain");
}

void t.test("a killed service is restarted, and what it had started lives on", async (t) => {
  const directory = t.testdir();
  const pidFile = join(directory, "child");
  const script = `[ -e ${pidFile} ] || { sleep 60 & echo $! >${pidFile}; }; exec sleep 60`;
  const service = new Service({ name: "s", command: ["sh", "-c", script] }, directory);
  t.teardown(() => service.hold(true));
  service.start();
  await until(() => existsSync(pidFile) && readFileSync(pidFile, "utf8") !== "");
  const child = Number(readFileSync(pidFile, "utf8"));
  t.teardown(() => process.kill(child, "SIGKILL"));
  const first = service.kill("SIGKILL");
  await until(() => service.pid !== undefined && service.pid !== first);
  t.ok(isAlive(child), "child of the killed service");
  t.match(await service.status(), { state: "running", ready: false, restarts: 1, lastExit: "SIGKILL" });
  await until(async () => (await service.status()).ready);
});

void t.test("a held service stays down until it is released", async (t) => {
  const service = new Service({ name: "s", command: ["sleep", "60"] }, t.testdir());
  service.start();
  service.hold(true);
  await until(() => service.pid === undefined);
  await sleep(300);
  t.match(await service.status(), { state: "held", ready: false, restarts: 0 });
  service.hold(false);
  t.match(await service.status(), { state: "running" });
  service.hold(true);
});

void t.test("a service with a socket is ready when the socket accepts", async (t) => {
  const directory = shortDirectory(t);
  const readySocket = join(directory, "s.sock");
  const service = new Service({ name: "s", command: ["sleep", "60"], readySocket }, directory);
  t.teardown(() => service.hold(true));
  service.start();
  t.match(await service.status(), { state: "running", ready: false });
  const server = createServer((socket) => socket.end()).listen(readySocket);
  t.teardown(() => server.close());
  await until(async () => (await service.status()).ready);
});

void t.test("a command that does not exist is told, and tried again", async (t) => {
  const service = new Service({ name: "s", command: ["/nowhere/at-all"] }, t.testdir());
  service.start();
  await until(async () => (await service.status()).restarts > 1);
  service.hold(true);
  t.match((await service.status()).lastExit, /ENOENT/);
});
