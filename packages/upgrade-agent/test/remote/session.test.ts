/** Commands over SSH, against a server on loopback. */
import { Readable } from "node:stream";
import { setTimeout as sleep } from "node:timers/promises";
import t from "tap";
import { generateDomainKey, openSession } from "../../remote/index.ts";
import { startServer } from "./server.ts";

const key = generateDomainKey();
const server = await startServer({ authorizedKey: key.publicKey });
const session = await openSession({ address: "127.0.0.1", port: server.port, privateKey: key.privateKey });
t.teardown(async () => {
  await session.close();
  await server.close();
});

t.test("answers the exit status and both outputs", async (t) => {
  const heard: [string, string][] = [];
  const result = await session.exec("echo out; sleep 0.1; echo err >&2; exit 7", {
    onOutput: (text, stream) => heard.push([stream, text]),
  });
  t.match(result, { exitCode: 7, output: "out\nerr\n" });
  t.same(heard, [
    ["stdout", "out\n"],
    ["stderr", "err\n"],
  ]);
});

t.test("hands over the environment, whatever is in it", async (t) => {
  const value = "a 'b' $(id) \"c\" \\ \n ü";
  t.same(await session.exec(`printf %s "$VM_X"`, { env: { VM_X: value } }), { exitCode: 0, output: value });
  await t.rejects(session.exec("true", { env: { "A B": "" } }), { code: "E_BAD_REQUEST" });
});

t.test("standard input is empty unless given", async (t) => {
  t.same(await session.exec("cat; echo end"), { exitCode: 0, output: "end\n" });
  const lines = Readable.from(["one\n", "two\n"], { objectMode: false });
  t.same(await session.exec("wc -l | tr -d ' '", { stdin: lines }), { exitCode: 0, output: "2\n" });
});

t.test("a command may end without reading its input", async (t) => {
  const endless = Readable.from(
    (function* () {
      for (;;) yield Buffer.alloc(65_536);
    })(),
    { objectMode: false },
  );
  t.match(await session.exec("exit 3", { stdin: endless }), { exitCode: 3 });
  endless.destroy();
});

t.test("an input that fails ends the command", async (t) => {
  const failing = new Readable({
    read() {
      this.destroy(new Error("no more"));
    },
  });
  await t.rejects(session.exec("cat", { stdin: failing }), /no more/);
});

t.test("keeps only the end of a long output", async (t) => {
  const { output } = await session.exec("seq 100000; echo last");
  t.match(output, /^\[\d+ bytes before this are not kept\]\n/);
  t.ok(output.endsWith("100000\nlast\n"));
  t.ok(Buffer.byteLength(output) < 65_536 + 60);
});

t.test("a command that ends by a signal", async (t) => {
  t.match(await session.exec("kill -9 $$"), { exitCode: 137 });
});

t.test("after its time a command is ended, with all that it started", async (t) => {
  const mark = `${process.pid}.5`;
  await t.rejects(session.exec(`echo begun; sleep 7${mark} & wait`, { timeoutMs: 300 }), {
    code: "E_DEADLINE",
    message: /0\.3 s; it said last: begun/,
  });
  t.match(await session.exec(`pgrep -f '[s]leep 7${mark}'`), { exitCode: 1 });
});

t.test("status 124 before the time is over is the command's own", async (t) => {
  t.match(await session.exec("exit 124"), { exitCode: 124 });
});

t.test("aborting ends the command", async (t) => {
  const mark = `${process.pid}.25`;
  const aborter = new AbortController();
  const running = session.exec(`sleep 7${mark}`, { signal: aborter.signal });
  await sleep(200);
  aborter.abort(new Error("enough"));
  await t.rejects(running, /enough/);
  t.match(await session.exec(`sleep 0.2; pgrep -f '[s]leep 7${mark}'`), { exitCode: 1 });
  await t.rejects(session.exec("true", { signal: aborter.signal }), /enough/);
});

t.test("a command that is too long is refused before it is sent", async (t) => {
  await t.rejects(session.exec(`: ${"x".repeat(9_000)}`), { code: "E_BAD_REQUEST" });
});

t.test("many commands at once share the connection", async (t) => {
  const before = server.connections;
  const answers = await Promise.all(Array.from({ length: 8 }, (_, index) => session.exec(`echo ${index}`)));
  t.same(
    answers.map(({ output }) => output),
    Array.from({ length: 8 }, (_, index) => `${index}\n`),
  );
  t.equal(server.connections, before);
});

t.test("a command that the domain did not start is sent again, but not for ever", async (t) => {
  server.refuse = 3;
  t.match(await session.exec("echo ran"), { exitCode: 0, output: "ran\n" });
  server.refuse = 1_000;
  await t.rejects(session.exec("echo ran"), { code: "E_SSH" });
  server.refuse = 0;
});

t.test("a connection that breaks is told, now and later", async (t) => {
  const other = await openSession({ address: "127.0.0.1", port: server.port, privateKey: key.privateKey });
  const running = other.exec("sleep 5");
  running.catch(() => {});
  await sleep(200);
  server.cut();
  await t.rejects(running, { code: "E_SSH" });
  await t.rejects(other.exec("true"), { code: "E_SSH" });
  await other.close();
});
