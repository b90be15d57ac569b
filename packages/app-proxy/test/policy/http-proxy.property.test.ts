/** Any split, any order of deliveries, any failures: no reply is lost, doubled, or given to another request. */
import * as fc from "fast-check";
import t from "tap";
import { createHttpProxy, type HttpRequest } from "../../index.ts";
import { Harness, httpServer, repliesIn, type FakeReply, type ServerSide } from "../../testing/index.ts";

const RUNS = process.env["FULL"] === "1" ? 300 : 125;

interface Op {
  readonly method: "GET" | "PUT";
  readonly key: string;
  readonly value: string;
}

const op: fc.Arbitrary<Op> = fc.record({
  method: fc.constantFrom("GET", "PUT"),
  key: fc.constantFrom("/a", "/b", "/c"),
  value: fc.stringMatching(/^[a-z]{1,20}$/),
});

/** Each version's store, and the order in which values came to each key. */
class Stores {
  readonly history = new Map<string, string[]>();

  serve = (request: HttpRequest, version: number): FakeReply => {
    const key = `${version} ${request.target}`;
    const history = this.history.get(key) ?? [];
    this.history.set(key, history);
    if (request.method === "PUT") {
      history.push(Buffer.from(request.body).toString());
      return { status: 200 };
    }
    const value = history.at(-1);
    return value === undefined ? { status: 404 } : { status: 200, body: value };
  };
}

const bytesOf = ({ method, key, value }: Op): string =>
  method === "GET"
    ? `GET ${key} HTTP/1.1\r\nHost: h\r\n\r\n`
    : `PUT ${key} HTTP/1.1\r\nHost: h\r\nContent-Length: ${value.length}\r\n\r\n${value}`;

/** A stream of choices, repeated without end. */
function chooser(choices: readonly number[]): (count: number) => number {
  let next = 0;
  return (count) => (choices[next++ % choices.length] ?? 0) % Math.max(1, count);
}

async function play(ops: readonly Op[], choices: readonly number[]): Promise<Buffer> {
  const stores = new Stores();
  const harness = new Harness({
    handlers: createHttpProxy(),
    versions: [1, 2],
    serve: (side) => httpServer(side, stores.serve),
    choose: chooser(choices),
    ...(choices.length === 0 ? {} : { cut: (bytes: number) => 1 + chooser(choices.slice(1))(bytes) }),
  });
  const client = harness.connect();
  client.send(ops.map(bytesOf).join(""));
  await harness.run();
  // Not before: whether a reply says that the connection closes depends on when the end is known.
  client.end();
  await harness.run();
  if (client.closed !== "ended") throw new Error(`the connection is not over: ${client.closed}`);
  return client.received;
}

t.test("any split of a pipelined sequence gives the same replies in the same order", async (t) => {
  const choices = fc.array(fc.nat(97), { minLength: 2, maxLength: 30 });
  await fc.assert(
    fc.asyncProperty(fc.array(op, { minLength: 1, maxLength: 30 }), choices, async (ops, split) => {
      const whole = await play(ops, []);
      const pieces = await play(ops, split);
      const replies = repliesIn(
        whole,
        ops.map(({ method }) => method),
      );
      return replies.length === ops.length && whole.equals(pieces);
    }),
    { numRuns: RUNS },
  );
  t.pass();
});

t.test(
  "with several clients every version sees the same order per key, and every client its own replies",
  async (t) => {
    const clients = fc.array(fc.array(op, { minLength: 1, maxLength: 12 }), { minLength: 2, maxLength: 4 });
    await fc.assert(
      fc.asyncProperty(
        clients,
        fc.array(fc.nat(97), { minLength: 5, maxLength: 40 }),
        async (opsOf, choices) => {
          const stores = new Stores();
          const harness = new Harness({
            handlers: createHttpProxy(),
            versions: [1, 2],
            serve: (side) => httpServer(side, stores.serve),
            choose: chooser(choices),
            cut: (bytes) => 1 + chooser(choices.toReversed())(bytes),
          });
          const playing = opsOf.map((ops, id) => {
            const own = ops.map((each, n) => ({ ...each, value: `${id}-${n}` }));
            const client = harness.connect();
            client.send(own.map(bytesOf).join(""));
            return { own, client };
          });
          await harness.run();
          for (const { own, client } of playing) {
            const methods = own.map(({ method }) => method);
            if (repliesIn(client.received, methods).length !== own.length) return false;
          }
          return ["/a", "/b", "/c"].every((key) => {
            const [one, two] = [1, 2].map((version) => stores.history.get(`${version} ${key}`) ?? []);
            return JSON.stringify(one) === JSON.stringify(two);
          });
        },
      ),
      { numRuns: RUNS },
    );
    t.pass();
  },
);

type Trouble = "reset" | "refuse" | "retire" | "return" | "pass" | "client-lost";

const trouble = fc.record({
  atStep: fc.nat(120),
  what: fc.constantFrom<Trouble>("reset", "refuse", "retire", "return", "pass", "client-lost"),
  version: fc.constantFrom(1, 2),
});

/** Replies carry their request's name, so that a reply given to another is seen. */
function named(request: HttpRequest): FakeReply {
  return { status: 200, body: `${request.method} ${request.target} ${Buffer.from(request.body).toString()}` };
}

t.test("under resets, refusals, retirements and lost clients", async (t) => {
  const clients = fc.array(fc.array(op, { minLength: 1, maxLength: 8 }), { minLength: 1, maxLength: 3 });
  const troubles = fc.array(trouble, { maxLength: 8 });
  const choices = fc.array(fc.nat(97), { minLength: 5, maxLength: 40 });
  await fc.assert(
    fc.asyncProperty(clients, troubles, choices, async (opsOf, planned, chosen) => {
      const sides = new Set<ServerSide>();
      const refusing = new Set<number>();
      const acknowledged = new Map<number, Set<string>>([1, 2].map((version) => [version, new Set()]));
      const harness = new Harness({
        handlers: createHttpProxy(),
        versions: [1, 2],
        serve: (side) => {
          if (refusing.has(side.version)) return "refuse";
          sides.add(side);
          return httpServer(side, (request, version) => {
            acknowledged.get(version)?.add(Buffer.from(request.body).toString());
            return named(request);
          });
        },
        choose: chooser(chosen),
        cut: (bytes) => 1 + chooser(chosen.toReversed())(bytes),
      });
      const playing = opsOf.map((ops, id) => {
        const own = ops.map((each, n) => ({ ...each, value: `${id}-${n}` }));
        const client = harness.connect();
        client.send(own.map(bytesOf).join(""));
        return { own, client, lost: false };
      });
      let retired = false;
      for (let step = 0; step < 150; step += 1) {
        for (const { what, version } of planned.filter(({ atStep }) => atStep === step)) {
          if (what === "reset") for (const side of sides) if (side.version === version) side.reset();
          if (what === "refuse") refusing.add(version);
          if (what === "return") refusing.clear();
          if (what === "pass") await harness.advance(100);
          if (what === "retire") {
            retired = true;
            harness.setVersions([3 - version]);
          }
          if (what === "client-lost" && playing.length > 1) {
            const victim = playing[0];
            if (victim !== undefined && !victim.lost) {
              victim.lost = true;
              victim.client.reset();
            }
          }
        }
        if (!harness.step()) await harness.run();
      }
      refusing.clear();
      await harness.advance(200_000);
      if (harness.requestsInFlight !== 0) return false;
      for (const { own, client, lost } of playing) {
        if (lost) continue;
        const replies = repliesIn(
          client.received,
          own.map(({ method }) => method),
        );
        if (replies.length !== own.length) return false;
        for (const [index, { method, key, value }] of own.entries()) {
          const reply = replies[index];
          if (reply?.status !== 200) continue;
          const body = `${method} ${key} ${method === "PUT" ? value : ""}`;
          if (Buffer.from(reply.body).toString() !== body) return false;
          // An acknowledged write is at every version that was there throughout.
          if (method === "PUT" && !retired) {
            if (![1, 2].every((version) => acknowledged.get(version)?.has(value))) return false;
          }
        }
      }
      return true;
    }),
    { numRuns: 2 * RUNS },
  );
  t.pass();
});
