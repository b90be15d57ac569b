/** Reaching a server that is not there yet, never, or not ours. */
import { createServer, type AddressInfo } from "node:net";
import { setTimeout as sleep } from "node:timers/promises";
import ssh2 from "ssh2";
import t from "tap";
import { generateDomainKey, openSession } from "../../remote/index.ts";
import { startServer } from "./server.ts";

const key = generateDomainKey();
const address = "127.0.0.1";

async function freePort(): Promise<number> {
  const server = createServer();
  await new Promise<void>((resolve) => server.listen(0, address, resolve));
  const { port } = server.address() as AddressInfo;
  await new Promise((resolve) => server.close(resolve));
  return port;
}

t.test("makes a key pair in OpenSSH's formats", async (t) => {
  t.match(key.privateKey, /^-----BEGIN OPENSSH PRIVATE KEY-----\n/);
  t.match(key.publicKey, /^ssh-ed25519 [A-Za-z0-9+/=]+\s*$/);
  t.not(generateDomainKey().publicKey, key.publicKey);
});

t.test("every key is a good one (one in 256 of ssh2's is not)", async (t) => {
  const broken = Array.from({ length: 2_000 }, generateDomainKey).filter(
    ({ privateKey, publicKey }) =>
      ssh2.utils.parseKey(privateKey) instanceof Error || ssh2.utils.parseKey(publicKey) instanceof Error,
  );
  t.same(broken, []);
});

t.test("waits for a server that starts late", async (t) => {
  const port = await freePort();
  const opening = openSession({ address, port, privateKey: key.privateKey, deadlineMs: 10_000 });
  await sleep(350);
  const server = await startServer({ authorizedKey: key.publicKey, port });
  const session = await opening;
  t.match(await session.exec("echo up"), { output: "up\n" });
  await session.close();
  await session.close();
  await server.close();
});

t.test("gives up at the deadline", async (t) => {
  const opening = openSession({
    address,
    port: await freePort(),
    privateKey: key.privateKey,
    deadlineMs: 300,
  });
  await t.rejects(opening, { code: "E_DEADLINE", message: /ECONNREFUSED/ });
});

t.test("a server that takes connections and says nothing", async (t) => {
  const silent = createServer(() => {});
  await new Promise<void>((resolve) => silent.listen(0, address, resolve));
  const { port } = silent.address() as AddressInfo;
  await t.rejects(openSession({ address, port, privateKey: key.privateKey, deadlineMs: 400 }), {
    code: "E_DEADLINE",
  });
  silent.close();
});

t.test("a server that hangs up is tried again", async (t) => {
  let tries = 0;
  const rude = createServer((socket) => {
    tries += 1;
    socket.destroy();
  });
  await new Promise<void>((resolve) => rude.listen(0, address, resolve));
  const { port } = rude.address() as AddressInfo;
  await t.rejects(openSession({ address, port, privateKey: key.privateKey, deadlineMs: 700 }), {
    code: "E_DEADLINE",
  });
  t.ok(tries >= 3, `${tries} tries`);
  rude.close();
});

t.test("a refused key is told at once", async (t) => {
  const server = await startServer({ authorizedKey: generateDomainKey().publicKey });
  const startedAt = performance.now();
  const opening = openSession({ address, port: server.port, privateKey: key.privateKey, deadlineMs: 20_000 });
  await t.rejects(opening, { code: "E_SSH" });
  t.ok(performance.now() - startedAt < 10_000);
  await server.close();
});

t.test("can be aborted while it waits", async (t) => {
  const aborter = new AbortController();
  const opening = openSession({
    address,
    port: await freePort(),
    privateKey: key.privateKey,
    signal: aborter.signal,
  });
  setTimeout(() => aborter.abort(), 150);
  await t.rejects(opening, { name: "AbortError" });
});
