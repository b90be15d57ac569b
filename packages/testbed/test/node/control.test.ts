import { mkdtempSync, rmSync } from "node:fs";
import { connect } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { once } from "node:events";
import t from "tap";
import type { Test } from "tap";
import { ask, serveControl } from "../../node/control.ts";

/** A socket address has room for 107 characters; tap's own fixture directories are longer. */
function shortDirectory(t: Test): string {
  const directory = mkdtempSync(join(tmpdir(), "vmt-"));
  t.teardown(() => rmSync(directory, { recursive: true }));
  return directory;
}

void t.test("an answer comes back, a refusal is an error, silence is an error", async (t) => {
  const path = join(shortDirectory(t), "control.sock");
  const server = await serveControl(path, async (request) => {
    if (request.command === "kill") throw new Error("not today");
    return { ok: true, services: [] };
  });
  t.teardown(() => server.close());
  t.strictSame(await ask(path, { command: "status" }), { ok: true, services: [] });
  const refused = ask(path, { command: "kill", what: "agent", signal: "SIGKILL" });
  await t.rejects(refused, { code: "E_TESTBED_NODE", message: /not today/ });
  await t.rejects(ask(`${path}.none`, { command: "status" }), { code: "E_TESTBED_NODE" });
});

void t.test("what is no request is refused, and the node goes on", async (t) => {
  const path = join(shortDirectory(t), "control.sock");
  const server = await serveControl(path, async () => ({ ok: true, services: [] }));
  t.teardown(() => server.close());
  for (const line of ["nonsense", '{"command":"reboot"}', '{"command":"status","more":1}']) {
    const socket = connect(path);
    socket.write(`${line}\n`);
    const [answer] = (await once(socket, "data")) as [Buffer];
    t.match(JSON.parse(answer.toString()), { ok: false }, line);
  }
  t.match(await ask(path, { command: "status" }), { ok: true });
});
