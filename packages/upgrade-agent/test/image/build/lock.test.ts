/** One holder at a time; a holder that is killed holds nothing. */
import { spawn } from "node:child_process";
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import t from "tap";
import { takeLock } from "../../../image/build/lock.ts";

const quiet = { onWait: (): void => {} };

t.test("the second waits for the first and hears of it", async (t) => {
  const file = join(t.testdir({}), "lock");
  const order: string[] = [];
  const release = await takeLock(file, quiet);
  const second = takeLock(file, { onWait: () => order.push("waits") });
  await new Promise((resolve) => setTimeout(resolve, 700));
  order.push("release");
  await release();
  const releaseSecond = await second;
  order.push("second");
  await releaseSecond();
  t.same(order, ["waits", "release", "second"]);
});

t.test("waiting can be aborted", async (t) => {
  const file = join(t.testdir({}), "lock");
  const release = await takeLock(file, quiet);
  const aborter = new AbortController();
  const second = takeLock(file, { ...quiet, signal: aborter.signal });
  setTimeout(() => aborter.abort(), 100);
  await t.rejects(second, { name: "AbortError" });
  await release();
});

t.test("a directory that is not there", async (t) => {
  await t.rejects(takeLock(join(t.testdir({}), "no/lock"), quiet), { code: "E_IMAGE_BUILD" });
});

t.test("kill -9 of the holder frees it", async (t) => {
  const file = join(t.testdir({}), "lock");
  const module = pathToFileURL(join(import.meta.dirname, "../../../image/build/lock.ts")).href;
  const program = `const { takeLock } = await import(${JSON.stringify(module)});
    await takeLock(${JSON.stringify(file)}, { onWait() {} }); console.log("held"); setInterval(() => {}, 1e6);`;
  const holder = spawn(process.execPath, ["--input-type=module", "-e", program], {
    stdio: ["ignore", "pipe", "inherit"],
  });
  await new Promise((resolve) => holder.stdout.once("data", resolve));
  holder.kill("SIGKILL");
  const release = await takeLock(file, quiet);
  await release();
});
