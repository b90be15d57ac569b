/** The host's end of the line, against guests that keep to it and guests that do not. */
import { mkdtempSync, rmSync } from "node:fs";
import { createServer } from "node:net";
import type { Socket } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import t from "tap";
import type { Test } from "tap";
import { awaitReady, personalise } from "../../../domain/spare/line.ts";

const never = new AbortController().signal;
const facts = [
  ["hostname", "n1-kv-2"],
  ["mac", "52:54:00:00:00:01"],
] as const;

/** Paths of sockets are short, those of tap's directories are not. */
function directoryOf(t: Test): string {
  const directory = mkdtempSync(join(tmpdir(), "its-line-"));
  t.teardown(() => rmSync(directory, { recursive: true, force: true }));
  return directory;
}

/** A guest behind a socket; `serve` is what it does once somebody is there. */
async function guest(t: Test, serve: (socket: Socket) => void): Promise<string> {
  const path = join(directoryOf(t), "line");
  const sockets = new Set<Socket>();
  const server = createServer((socket) => {
    sockets.add(socket);
    socket.on("error", () => undefined);
    serve(socket);
  });
  await new Promise<void>((resolve) => void server.listen(path, resolve));
  t.teardown(() => {
    for (const socket of sockets) socket.destroy();
    server.close();
  });
  return path;
}

t.test("a guest that says it waits", async (t) => {
  const socket = await guest(t, (line) => void line.write("spare 1\n"));
  await awaitReady({ socket, timeoutMs: 60_000, signal: never });
});

t.test("the socket may come later than the wish", async (t) => {
  const socket = join(directoryOf(t), "line");
  const waiting = awaitReady({ socket, timeoutMs: 60_000, signal: never });
  const server = createServer((line) => void line.end("spare 1\n"));
  setTimeout(() => server.listen(socket), 50);
  t.teardown(() => void server.close());
  await waiting;
});

t.test("a guest learns the facts, another seed each time, and the time when it asks", async (t) => {
  const heard: string[] = [];
  const socket = await guest(t, (line) => {
    createInterface(line).on("line", (word) => {
      heard.push(word);
      if (word === "end") line.write("clock?\n");
      if (word.startsWith("clock "))
        line.write(heard.length < 7 ? "clock?\n" : `personal ${"0a".repeat(16)}\n`);
    });
  });
  const told = Date.now();
  t.equal(await personalise({ socket, timeoutMs: 60_000, signal: never }, facts), "0a".repeat(16));
  const seeds = heard.filter((word) => /^seed [0-9a-f]{128}$/.test(word));
  t.equal(seeds.length, 1);
  t.same(heard.slice(1, 4), ["fact hostname n1-kv-2", "fact mac 52:54:00:00:00:01", "end"]);
  t.equal(heard.length, 7, "it may ask for the time more than once");
  for (const word of heard.slice(4)) {
    const [, seconds = 0, nanoseconds = 0] = /^clock (\d+) (\d+)$/.exec(word)?.map(Number) ?? [];
    const ms = seconds * 1000 + nanoseconds / 1e6;
    t.ok(ms >= told && ms <= Date.now(), "the host's time");
  }
  heard.length = 0;
  await personalise({ socket, timeoutMs: 60_000, signal: never }, facts);
  t.notOk(heard.includes(seeds[0] ?? ""), "the next clone has another seed");
});

t.test("guests that do not keep to it", async (t) => {
  const cases: Readonly<Record<string, readonly [(socket: Socket) => void, string]>> = {
    silent: [() => undefined, "E_DEADLINE"],
    "gone at once": [(socket) => void socket.destroy(), "E_DOMAIN"],
    "other words": [(socket) => void socket.write("hello\n"), "E_DOMAIN"],
    "no end of a word": [(socket) => void socket.write("x".repeat(100_000)), "E_DOMAIN"],
  };
  for (const [what, [serve, code]] of Object.entries(cases)) {
    await t.test(what, async (t) => {
      const socket = await guest(t, serve);
      // Only the silent one is waited for.
      const timeoutMs = code === "E_DEADLINE" ? 300 : 60_000;
      await t.rejects(awaitReady({ socket, timeoutMs, signal: never }), { code });
      await t.rejects(personalise({ socket, timeoutMs, signal: never }, facts), { code });
    });
  }
});

t.test("whoever gives up is not kept waiting", async (t) => {
  const socket = await guest(t, () => undefined);
  const controller = new AbortController();
  const waiting = awaitReady({ socket, timeoutMs: 60_000, signal: controller.signal });
  controller.abort();
  await t.rejects(waiting, { name: "AbortError" });
});
