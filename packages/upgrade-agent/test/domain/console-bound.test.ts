import { closeSync, openSync, readFileSync, statSync, writeFileSync, writeSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import t from "tap";
import { boundConsoleLogs, cutConsoleLog } from "../../domain/console-bound.ts";

t.test("a log within its bound stays as it is", async (t) => {
  const path = join(t.testdir({ "a.console.log": "x".repeat(1000) }), "a.console.log");
  t.equal(await cutConsoleLog(path, 1000), false);
  t.equal(statSync(path).size, 1000);
});

t.test("a longer one keeps its end, says what is missing, and goes on under an open writer", async (t) => {
  const path = join(t.testdir(), "a.console.log");
  const writer = openSync(path, "a");
  t.teardown(() => closeSync(writer));
  writeSync(writer, `${"x".repeat(2000)}the end\n`);
  t.equal(await cutConsoleLog(path, 1000), true);
  t.match(
    readFileSync(path, "latin1"),
    /^\n\[version-manager: 1883 bytes of this console were cut\]\nx+the end\n$/,
  );
  writeSync(writer, "more\n");
  t.match(readFileSync(path, "latin1"), /the end\nmore\n$/);
  t.ok(statSync(path).size < 1000);
});

t.test("all console logs of a directory are looked after, other files are not", async (t) => {
  const directory = t.testdir({ "proxy.log": "x".repeat(3000) });
  const controller = new AbortController();
  const bounding = boundConsoleLogs(directory, controller.signal, 1000);
  writeFileSync(join(directory, "late.console.log"), "x".repeat(3000));
  for (let tries = 0; tries < 500 && statSync(join(directory, "late.console.log")).size > 1000; tries++)
    await sleep(20);
  controller.abort();
  await bounding;
  t.ok(statSync(join(directory, "late.console.log")).size < 1000);
  t.equal(statSync(join(directory, "proxy.log")).size, 3000);
  await boundConsoleLogs(join(directory, "nowhere"), AbortSignal.abort());
});
