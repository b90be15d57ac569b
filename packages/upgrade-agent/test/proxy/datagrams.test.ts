/** Datagrams through real proxy processes on the loopback: versions come and go, the process dies, another takes over. */
import dgram from "node:dgram";
import { once } from "node:events";
import { setTimeout as sleep } from "node:timers/promises";
import t from "tap";
import { createProxySupervisor, type ProxySupervisor } from "../../proxy/index.ts";
import { freePort, makeStage, withoutInstrumentation } from "./stage.ts";

withoutInstrumentation();

const ADDRESS = "127.0.0.1";
const CLIENTS = 16;
/** Requests that one client has on its way; with 16 clients far from filling a socket's buffer. */
const WINDOW = 4;
const REPEAT_MS = 2_000;

/** `id set key value` and `id get key`, answered by `id value`. */
const MODULE = `export default (toolkit) => {
  const idOf = (text) => Number(text.split(" ")[0]);
  const text = (bytes) => (/^\\d+ /.test(String(bytes)) ? String(bytes) : undefined);
  return toolkit.createProxy({
    framing: toolkit.datagramFraming({
      decodeRequest: text,
      decodeReply: text,
      encodeRequest: (request) => Buffer.from(request),
      encodeReply: (reply) => Buffer.from(reply),
      idOf: { request: idOf, reply: idOf },
      classify: (request) => {
        const [, what, key] = request.split(" ");
        return { kind: what === "get" ? "read" : "write", key };
      },
      isSuccess: (reply) => !reply.endsWith(" none"),
    }),
  });
};
`;

type Test = Pick<typeof t, "teardown">;

async function fakeVersion(test: Test) {
  const items = new Map<string, string>();
  const socket = dgram.createSocket("udp4");
  socket.on("message", (bytes, { port }) => {
    const [id, what, key = "", value = ""] = String(bytes).split(" ");
    if (what === "set") items.set(key, value);
    // Out of order, as over a network.
    setTimeout(() => socket.send(`${id} ${items.get(key) ?? "none"}`, port, ADDRESS), Number(id) % 4);
  });
  socket.bind(0, ADDRESS);
  await once(socket, "listening");
  test.teardown(() => socket.close());
  return { items, endpoint: `${ADDRESS}:${socket.address().port}` };
}

/** Clients that write keys of their own and read them back, over and over. */
class Load {
  answered = 0;
  repeated = 0;
  readonly faults: string[] = [];
  readonly written = new Map<string, string>();
  readonly #port: number;
  readonly #done: Promise<unknown>;
  readonly #end = new AbortController();

  constructor(port: number) {
    this.#port = port;
    this.#done = Promise.all(Array.from({ length: CLIENTS }, (_, client) => this.#client(client)));
  }

  async stop(): Promise<void> {
    this.#end.abort();
    await this.#done;
  }

  async until(answered: number): Promise<boolean> {
    for (let waitedMs = 0; this.answered < answered && waitedMs < 60_000; waitedMs += 20) await sleep(20);
    return this.answered >= answered;
  }

  async #client(client: number): Promise<void> {
    const socket = dgram.createSocket("udp4");
    const waiting = new Map<string, (value: string) => void>();
    const asked = new Set<string>();
    socket.on("message", (bytes, { address, port }) => {
      const [id = "", value = ""] = String(bytes).split(" ");
      if (address !== ADDRESS || port !== this.#port) this.faults.push(`an answer from ${address}:${port}`);
      const resolve = waiting.get(id);
      if (!asked.has(id)) this.faults.push(`client ${client} got ${id}, which it did not ask for`);
      else if (resolve === undefined && this.repeated === 0) this.faults.push(`${id} came twice`);
      waiting.delete(id);
      resolve?.(value);
    });
    let next = 0;
    const ask = async (words: string): Promise<string> => {
      const id = String((next += 1));
      asked.add(id);
      const answer = new Promise<string>((resolve) => waiting.set(id, resolve));
      const send = (): void => socket.send(`${id} ${words}`, this.#port, ADDRESS);
      const again = setInterval(() => {
        this.repeated += 1;
        send();
      }, REPEAT_MS);
      send();
      const value = await answer;
      clearInterval(again);
      this.answered += 1;
      return value;
    };
    const lane = async (number: number): Promise<void> => {
      for (let round = 0; !this.#end.signal.aborted; round += 1) {
        const key = `${client}-${number}-${round}`;
        const value = `v${client}.${number}.${round}`;
        const wrote = await ask(`set ${key} ${value}`);
        const read = await ask(`get ${key}`);
        if (wrote !== value || read !== value) this.faults.push(`${key}: ${wrote}, ${read}`);
        else this.written.set(key, value);
      }
    };
    await Promise.all(Array.from({ length: WINDOW }, (_, number) => lane(number)));
    socket.close();
  }
}

async function makeScene(test: Test) {
  const stage = makeStage();
  const modulePath = stage.writeModule("udp.js", MODULE);
  const port = await freePort();
  const log: string[] = [];
  const made: ProxySupervisor[] = [];
  const supervisor = (): ProxySupervisor => {
    const next = createProxySupervisor({ ...stage, log: (line) => log.push(line) });
    made.push(next);
    return next;
  };
  test.teardown(async () => {
    await made.at(-1)?.stop("kv");
    for (const each of made) each.close();
    stage.remove();
  });
  const versions = { 1: await fakeVersion(test), 2: await fakeVersion(test) };
  const ensure = (by: ProxySupervisor, numbers: readonly (1 | 2)[], module = modulePath): Promise<void> =>
    by.ensure({
      service: "kv",
      modulePath: module,
      address: ADDRESS,
      listen: [`udp/${port}`],
      versions: numbers.map((version) => ({
        version,
        endpoints: { [`udp/${port}`]: versions[version].endpoint },
      })),
    });
  return { stage, port, log, supervisor, ensure, one: versions[1], two: versions[2] };
}

t.test(
  "from version 1 over both to version 2 under load: each request is answered once, to whom it belongs",
  async (t) => {
    const { ensure, one, port, supervisor, two } = await makeScene(t);
    const proxies = supervisor();
    await ensure(proxies, [1]);
    const load = new Load(port);
    await load.until(500);
    await ensure(proxies, [1, 2]);
    // The migrator: every write from now on reaches version 2 anyway.
    for (const [key, value] of one.items) if (!two.items.has(key)) two.items.set(key, value);
    t.ok(await load.until(load.answered + 1_000));
    await ensure(proxies, [2]);
    t.ok(await load.until(load.answered + 1_000));
    await load.stop();
    t.same(load.faults, []);
    t.equal(load.repeated, 0, "nothing was lost");
    t.same(
      [...load.written].filter(([key, value]) => two.items.get(key) !== value),
      [],
      "every acknowledged write is at version 2",
    );
    const status = await proxies.status("kv");
    t.match(status, { flows: CLIENTS, requestsInFlight: 0, serverConnections: CLIENTS });
    t.comment(`${load.answered} answered`);
  },
);

t.test(
  "kill -9 under load: the socket stays, and what waits in it is served by the next process",
  async (t) => {
    const { ensure, log, port, supervisor } = await makeScene(t);
    const proxies = supervisor();
    await ensure(proxies, [1, 2]);
    const load = new Load(port);
    await load.until(500);
    const pid = (await proxies.status("kv"))?.pid as number;
    process.kill(pid, "SIGKILL");
    t.ok(await load.until(load.answered + 1_000));
    await load.stop();
    t.same(load.faults, []);
    t.ok(load.repeated <= 4 * CLIENTS * WINDOW, `${load.repeated} repetitions: of what was in flight`);
    t.not((await proxies.status("kv"))?.pid, pid);
    t.match(log.join("\n"), /proxy died/);
  },
);

t.test("a second supervisor takes copies of the socket from the process that it finds", async (t) => {
  const { ensure, log, port, supervisor } = await makeScene(t);
  const first = supervisor();
  await ensure(first, [1, 2]);
  const pid = (await first.status("kv"))?.pid as number;
  first.close();
  const second = supervisor();
  await ensure(second, [1, 2]);
  t.equal((await second.status("kv"))?.pid, pid);
  if (log.some((line) => line.includes("no copy of port"))) {
    t.comment("skipped: this kernel does not give out copies of descriptors (pidfd_getfd)");
    return;
  }
  const load = new Load(port);
  await load.until(200);
  process.kill(pid, "SIGKILL");
  t.ok(await load.until(load.answered + 200));
  await load.stop();
  t.same(load.faults, []);
});

t.test("another module takes over under load, and the proxy leaves the path", async (t) => {
  const { ensure, port, stage, supervisor } = await makeScene(t);
  const proxies = supervisor();
  await ensure(proxies, [1, 2]);
  const pid = (await proxies.status("kv"))?.pid;
  const load = new Load(port);
  await load.until(500);
  await ensure(proxies, [1, 2], stage.writeModule("next.js", MODULE));
  t.not((await proxies.status("kv"))?.pid, pid);
  t.ok(await load.until(load.answered + 500));
  await load.stop();
  t.same(load.faults, []);
  t.comment(`${load.answered} answered, ${load.repeated} repeated`);
  t.equal(await proxies.drainAndStop("kv", 20_000), 0);
  t.equal(proxies.has("kv"), false);
});
