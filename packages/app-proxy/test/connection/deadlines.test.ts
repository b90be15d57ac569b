/** What the connection core gives up after how long. */
import t from "tap";
import type { ProxyHandlers, ServerEnd } from "../../connection/contract.ts";
import { Harness } from "../../testing/index.ts";
import { echo, pass } from "./pass.ts";

t.test("deadlines", async (t) => {
  t.test("idle", async (t) => {
    const harness = new Harness({
      handlers: pass,
      versions: [1],
      serve: echo,
      limits: { idleTimeoutMs: 1000 },
    });
    const client = harness.connect();
    await harness.advance(900);
    client.send("x");
    await harness.advance(900);
    t.equal(client.closed, undefined);
    await harness.advance(200);
    t.equal(client.closed, "idle for too long");
  });
  t.test("an incomplete message", async (t) => {
    const handlers = { ...pass, handleRequest: () => 0 };
    const harness = new Harness({ handlers, versions: [1], serve: echo, limits: { messageTimeoutMs: 1000 } });
    const client = harness.connect();
    for (let n = 0; n < 11; n += 1) {
      client.send("x");
      await harness.advance(100);
    }
    t.match(client.closed, /not completed in time/);
  });
  t.test("a client that takes nothing", async (t) => {
    const harness = new Harness({
      handlers: pass,
      versions: [1],
      serve: echo,
      limits: { stallTimeoutMs: 1000 },
    });
    const client = harness.connect();
    client.take(false);
    client.send("x");
    await harness.advance(1100);
    t.match(client.closed, /takes no bytes/);
  });
  t.test("a server that cannot be connected to in time", async (t) => {
    const ends: ServerEnd[] = [];
    const handlers = { ...pass, serverEnded: (end: ServerEnd) => void ends.push(end) };
    const harness = new Harness({ handlers, versions: [1], serve: echo, limits: { connectTimeoutMs: 1000 } });
    const client = harness.connect();
    client.send("x");
    harness.step();
    for (const stream of client.streams()) stream.paused = true;
    await harness.advance(1100);
    t.match(ends, [{ reason: "refused", sentBytes: 0 }]);
  });
  t.test("a client that does not close after us", async (t) => {
    const handlers: ProxyHandlers = { ...pass, draining: (connection) => connection.endClient() };
    const harness = new Harness({ handlers, versions: [1], serve: echo, limits: { lingerTimeoutMs: 1000 } });
    const client = harness.connect();
    harness.drain();
    await harness.advance(900);
    t.ok(client.ended);
    t.equal(client.closed, undefined);
    await harness.advance(200);
    t.match(client.closed, /did not close/);
  });
});

t.test("timers of handlers", async (t) => {
  const fired: number[] = [];
  const handlers: ProxyHandlers = {
    ...pass,
    handleRequest(_version, buffer, connection) {
      connection.after(200, () => fired.push(200));
      const cancel = connection.after(150, () => fired.push(150));
      connection.after(100, () => {
        fired.push(100);
        cancel();
      });
      return buffer.length;
    },
  };
  const harness = new Harness({ handlers, versions: [1], serve: echo });
  harness.connect().send("x");
  await harness.advance(1000);
  t.same(fired, [100, 200]);
});
