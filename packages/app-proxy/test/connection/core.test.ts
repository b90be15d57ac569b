/** The connection core with handlers of its own: what is passed on, held back and ended. */
import t from "tap";
import type { PeekBuffer } from "../../buffer/peek-buffer.ts";
import type { ProxyHandlers, ServerEnd } from "../../connection/contract.ts";
import { Harness, type ServerSide } from "../../testing/index.ts";
import { echo, pass } from "./pass.ts";

t.test("bytes go there and back, and ends follow them", async (t) => {
  const harness = new Harness({ handlers: pass, versions: [1, 2], serve: echo });
  const client = harness.connect();
  client.send("hello");
  await harness.run();
  t.equal(client.received.toString(), "hello");
  client.send(" world");
  client.end();
  await harness.run();
  t.equal(client.received.toString(), "hello world");
  t.ok(client.ended);
  t.equal(client.closed, "ended");
});

t.test("half-close: the server goes on sending after the client's end", async (t) => {
  const serve = (side: ServerSide) => ({
    data: () => undefined,
    end: () => {
      side.send(Buffer.from("all of it"));
      side.end();
    },
  });
  const harness = new Harness({ handlers: pass, versions: [1], serve });
  const client = harness.connect();
  client.send("x");
  client.end();
  await harness.run();
  t.equal(client.received.toString(), "all of it");
  t.equal(client.closed, "ended");
});

t.test("a handler that returns 0 is asked again with more, from the beginning", async (t) => {
  const seen: string[] = [];
  const handlers: ProxyHandlers = {
    ...pass,
    handleRequest(_version, buffer) {
      const text = buffer.peek(2).toString() + buffer.peek(1).toString();
      seen.push(text);
      return text.length === 3 ? 3 : 0;
    },
  };
  const harness = new Harness({ handlers, versions: [1], serve: echo, cut: () => 1 });
  harness.connect().send("abcdef");
  await harness.run();
  t.same(seen, ["a", "ab", "abc", "d", "de", "def"]);
});

t.test("a promise holds back the next call, not the buffering", async (t) => {
  const calls: string[] = [];
  let release: ((bytes: number) => void) | undefined;
  const handlers: ProxyHandlers = {
    ...pass,
    handleRequest(_version, buffer) {
      calls.push(buffer.peek().toString());
      return new Promise((resolve) => (release = resolve));
    },
  };
  const harness = new Harness({ handlers, versions: [1], serve: echo });
  const client = harness.connect();
  client.send("a");
  await harness.run();
  client.send("b");
  await harness.run();
  t.same(calls, ["a"]);
  release?.(1);
  await harness.run();
  t.same(calls, ["a", "b"]);
  t.equal(client.closed, undefined);
});

t.test("a handler that fails ends the connection that its bytes came from", async (t) => {
  const broken = (): never => {
    throw new Error("a fault");
  };
  const bad = new Harness({ handlers: { ...pass, handleRequest: broken }, versions: [1], serve: echo });
  const client = bad.connect();
  client.send("x");
  await bad.run();
  t.match(client.closed, /a fault/);
  const ends: ServerEnd[] = [];
  const handlers = { ...pass, handleReply: broken, serverEnded: (end: ServerEnd) => void ends.push(end) };
  const other = new Harness({ handlers, versions: [1], serve: echo });
  const survivor = other.connect();
  survivor.send("x");
  await other.run();
  t.match(ends, [{ version: 1, reason: "failed", detail: /a fault/ }]);
  t.equal(survivor.closed, undefined);
  for (const wrong of [-1, 1.5, Number.NaN]) {
    const harness = new Harness({
      handlers: { ...pass, handleRequest: () => wrong },
      versions: [1],
      serve: echo,
    });
    const sender = harness.connect();
    sender.send("x");
    await harness.run();
    t.match(sender.closed, /must return the number of bytes/);
  }
});

t.test("slow client: the server is not read further than the high water mark", async (t) => {
  const limits = { highWaterBytes: 1000, stallTimeoutMs: 60_000 };
  let sent = 0;
  const serve = (side: ServerSide) => ({
    data: () => {
      for (; sent < 100_000; sent += 500) side.send(Buffer.alloc(500, "r"));
    },
  });
  const harness = new Harness({
    handlers: pass,
    versions: [1],
    serve,
    limits,
    cut: (bytes) => Math.min(bytes, 500),
  });
  const client = harness.connect();
  client.take(false);
  client.send("go");
  await harness.run();
  t.equal(client.received.length, 0);
  client.take(true);
  await harness.run();
  t.equal(client.received.length, 100_000);
});

t.test("slow server: the client is not read further than the high water mark", async (t) => {
  const handlers: ProxyHandlers = {
    handleRequest(_version, buffer, connection) {
      connection.enqueue(1, buffer.slice());
      return buffer.length;
    },
    handleReply: (_version, buffer) => buffer.length,
  };
  const slow = new Harness({
    handlers,
    versions: [1],
    serve: echo,
    limits: { highWaterBytes: 1000 },
    cut: (bytes) => Math.min(bytes, 400),
  });
  const client = slow.connect();
  client.send(Buffer.alloc(100_000, "q"));
  for (let steps = 0; steps < 1000 && client.isRead; steps += 1) slow.step();
  t.notOk(client.isRead, "reading stops");
  await slow.run();
  t.ok(client.isRead, "and goes on");
});

t.test("a message longer than the input limit ends the connection", async (t) => {
  const handlers = { ...pass, handleRequest: () => 0 };
  const harness = new Harness({ handlers, versions: [1], serve: echo, limits: { inputBytesMax: 1000 } });
  const client = harness.connect();
  client.send(Buffer.alloc(999));
  await harness.run();
  t.equal(client.closed, undefined);
  client.send("xy");
  await harness.run();
  t.match(client.closed, /longer than 1000 bytes/);
});

t.test("a retired version's connection is ended, and the handlers know", async (t) => {
  const ends: [ServerEnd, number][] = [];
  let changes = 0;
  const handlers: ProxyHandlers = {
    ...pass,
    handleReply: () => 0,
    serverEnded: (end, buffer: PeekBuffer) => void ends.push([end, buffer.length]),
    versionsChanged: () => void (changes += 1),
  };
  const harness = new Harness({ handlers, versions: [1, 2], serve: echo });
  const client = harness.connect();
  client.send("abc");
  await harness.run();
  harness.setVersions([1]);
  await harness.run();
  t.match(ends, [[{ version: 2, reason: "retired" }, 3]]);
  t.equal(changes, 1);
  t.equal(client.closed, undefined);
});

t.test("what was never sent is known", async (t) => {
  let tries = 0;
  const ends: ServerEnd[] = [];
  const positions: number[] = [];
  const handlers: ProxyHandlers = {
    ...pass,
    handleRequest(_version, buffer, connection) {
      positions.push(connection.enqueue(1, buffer.slice()));
      return buffer.length;
    },
    serverEnded: (end) => void ends.push(end),
  };
  const serve = (side: ServerSide) => {
    tries += 1;
    return tries === 1 ? ("refuse" as const) : { data: () => side.reset() };
  };
  const harness = new Harness({ handlers, versions: [1], serve });
  const client = harness.connect();
  client.send("abc");
  await harness.run();
  client.send("defg");
  await harness.run();
  t.match(ends, [
    { reason: "refused", sentBytes: 0 },
    { reason: "failed", sentBytes: 4 },
  ]);
  t.same(positions, [0, 0]);
});

t.test("requests in flight outlive their client, and no longer", async (t) => {
  let received = "";
  let done: (() => void) | undefined;
  const handlers: ProxyHandlers = {
    ...pass,
    handleRequest(_version, buffer, connection) {
      done = connection.requestStarted();
      connection.enqueue(1, buffer.slice());
      return buffer.length;
    },
    clientEnded: () => undefined,
  };
  const serve = () => ({ data: (bytes: Buffer) => void (received += bytes.toString()) });
  const harness = new Harness({ handlers, versions: [1], serve });
  const client = harness.connect();
  client.send("write");
  harness.step();
  client.reset();
  await harness.run();
  t.equal(received, "write");
  t.equal(client.closed, undefined);
  done?.();
  await harness.run();
  t.match(client.closed, /client went away/);
  t.equal(harness.requestsInFlight, 0);
});

t.test("draining: quiet connections end, after a silence that counts from the drain", async (t) => {
  const harness = new Harness({ handlers: pass, versions: [1], serve: echo, limits: { drainQuietMs: 500 } });
  const client = harness.connect();
  await harness.advance(10_000);
  harness.drain();
  await harness.advance(400);
  client.send("still served");
  await harness.advance(400);
  t.equal(client.received.toString(), "still served");
  t.notOk(client.ended);
  await harness.advance(200);
  t.ok(client.ended);
});

t.test("sending to what does not run is an error with a code", async (t) => {
  const codes: unknown[] = [];
  const handlers: ProxyHandlers = {
    ...pass,
    handleRequest(_version, buffer, connection) {
      try {
        connection.enqueue(9, Buffer.from("x"));
      } catch (error) {
        codes.push((error as { code: string }).code);
      }
      return buffer.length;
    },
  };
  const harness = new Harness({ handlers, versions: [1], serve: echo });
  harness.connect().send("x");
  await harness.run();
  t.same(codes, ["E_NO_SUCH_VERSION"]);
});
