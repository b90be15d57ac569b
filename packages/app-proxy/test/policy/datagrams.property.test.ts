/**
 * Any sequence of datagrams, in any order, lost and doubled on any leg, under failures and changes of versions: each
 * client gets only replies to its own requests, and no write is done twice that the framing can tell.
 */
import fc from "fast-check";
import t from "tap";
import { createProxy, datagramFraming, type ProxyOptions } from "../../index.ts";
import { DatagramHarness, type DatagramClient } from "../../testing/index.ts";

const RUNS = Number(process.env["FC_RUNS"] ?? 300);

interface Message {
  readonly id: number;
  readonly kind: "read" | "write";
  readonly body: string;
}

const parse = (bytes: Buffer): Message => JSON.parse(String(bytes)) as Message;
const print = (message: Message): Buffer => Buffer.from(JSON.stringify(message));

const framing = datagramFraming<Message, Message>({
  decodeRequest: parse,
  decodeReply: parse,
  encodeRequest: print,
  encodeReply: print,
  idOf: { request: ({ id }) => id, reply: ({ id }) => id },
  classify: ({ body, kind }) => ({ kind, key: body.slice(-1) }),
});

const policies: Readonly<Record<string, Partial<ProxyOptions<Message, Message>>>> = {
  "write all, read newest": {},
  first: { reads: "first" },
  longest: { reads: "longest" },
  shadow: { shadow: {} },
  quarantine: { sickVersions: "quarantine" },
};

type Deed =
  | { readonly do: "send" | "repeat"; readonly client: number; readonly write: boolean }
  | { readonly do: "versions"; readonly versions: readonly number[] }
  | { readonly do: "step"; readonly count: number }
  | { readonly do: "time"; readonly ms: number };

const deeds: fc.Arbitrary<readonly Deed[]> = fc.array(
  fc.oneof(
    {
      weight: 4,
      arbitrary: fc.record({ do: fc.constant("send" as const), client: fc.nat(2), write: fc.boolean() }),
    },
    {
      weight: 2,
      arbitrary: fc.record({ do: fc.constant("repeat" as const), client: fc.nat(2), write: fc.boolean() }),
    },
    {
      weight: 4,
      arbitrary: fc.record({ do: fc.constant("step" as const), count: fc.integer({ min: 1, max: 8 }) }),
    },
    {
      weight: 1,
      arbitrary: fc.record({
        do: fc.constant("versions" as const),
        versions: fc.constantFrom([1], [1, 2], [2], [2, 3], []),
      }),
    },
    {
      weight: 1,
      arbitrary: fc.record({ do: fc.constant("time" as const), ms: fc.constantFrom(1, 250, 6_000) }),
    },
  ),
  { maxLength: 60 },
);

interface World {
  readonly harness: DatagramHarness;
  readonly clients: readonly DatagramClient[];
  /** Per client the requests sent, by id, and how many copies of each. */
  readonly sent: Map<number, { readonly bytes: Buffer; copies: number }>[];
  /** `version client id` of each write done, with how often. */
  readonly done: Map<string, number>;
  lossy: boolean;
}

/** `losses`: per hundred datagrams, lost and doubled. */
function makeWorld(
  options: Partial<ProxyOptions<Message, Message>>,
  choices: () => number,
  percent: number,
): World {
  const done = new Map<string, number>();
  const world = { lossy: true };
  const harness = new DatagramHarness({
    handlers: createProxy<Message, Message>({ framing, ...options }),
    versions: [1, 2],
    choose: (count) => choices() % count,
    fate: () => {
      const roll = choices() % 100;
      return !world.lossy || roll >= 2 * percent ? "arrives" : roll < percent ? "lost" : "twice";
    },
    serve: (version, bytes) => {
      const { body, id, kind } = parse(bytes);
      if (world.lossy && choices() % 50 === 0) return "refuse";
      if (kind === "write") {
        const name = `${version} ${body} ${id}`;
        done.set(name, (done.get(name) ?? 0) + 1);
      }
      return print({ id, kind, body: `${body}@${version}` });
    },
  });
  const clients = [0, 1, 2].map(() => harness.connect());
  return Object.assign(world, { harness, clients, done, sent: clients.map(() => new Map()) });
}

async function perform(world: World, deed: Deed): Promise<void> {
  const { clients, harness, sent } = world;
  if (deed.do === "step") for (let step = 0; step < deed.count; step += 1) harness.step();
  else if (deed.do === "versions") harness.setVersions(deed.versions);
  else if (deed.do === "time") await harness.advance(deed.ms);
  else {
    const [client, requests] = [clients[deed.client], sent[deed.client]];
    if (client !== undefined && requests !== undefined) send(client, requests, deed);
  }
}

function send(
  client: DatagramClient,
  requests: World["sent"][number],
  deed: Extract<Deed, { readonly do: "send" | "repeat" }>,
): void {
  const last = requests.get(requests.size);
  if (deed.do === "repeat" && last !== undefined) {
    last.copies += 1;
    return client.send(last.bytes);
  }
  const id = requests.size + 1;
  const bytes = print({ id, kind: deed.write ? "write" : "read", body: `${client.name} k${id % 3}` });
  requests.set(id, { bytes, copies: 1 });
  client.send(bytes);
}

function faultsOf({ clients, sent }: World, doubled: boolean): string[] {
  return clients.flatMap((client, index) => {
    const answers = new Map<number, number>();
    return client.received.flatMap((bytes) => {
      const { body, id } = parse(bytes);
      const request = sent[index]?.get(id);
      if (request === undefined || !body.startsWith(`${parse(request.bytes).body}@`))
        return [`${client.name} got what is not its own: ${String(bytes)}`];
      answers.set(id, (answers.get(id) ?? 0) + 1);
      const tooMany = !doubled && (answers.get(id) ?? 0) > request.copies;
      return tooMany ? [`${client.name} sent ${id} ${request.copies} times and got more answers`] : [];
    });
  });
}

/** Choices out of a seed, for as many as are asked. */
function choicesOf(seed: number): () => number {
  let state = (seed % 2_147_483_646) + 1;
  return () => (state = (state * 48_271) % 2_147_483_647) >> 4;
}

for (const [name, options] of Object.entries(policies)) {
  t.test(
    `${name}: each client gets replies to its own requests only, under loss and duplication`,
    async (t) => {
      await fc.assert(
        fc.asyncProperty(deeds, fc.nat(), async (what, seed) => {
          const world = makeWorld(options, choicesOf(seed), 10);
          for (const deed of what) await perform(world, deed);
          await world.harness.advance(20_000);
          const faults = faultsOf(world, true);
          if (faults.length > 0) throw new Error(faults.join("; "));
          // The last request of each client, repeated on a sound network, is answered.
          world.lossy = false;
          world.harness.setVersions([2, 3]);
          for (const [index, client] of world.clients.entries()) {
            const last = world.sent[index]?.get(world.sent[index]?.size ?? 0);
            if (last === undefined) continue;
            client.received.length = 0;
            client.send(last.bytes);
            await world.harness.advance(1_000);
            if (client.received.length !== 1)
              throw new Error(`${client.received.length} answers to a repetition`);
          }
          await world.harness.advance(20_000);
          if (world.harness.requestsInFlight !== 0) throw new Error("something is in flight for ever");
        }),
        { numRuns: RUNS },
      );
      t.pass();
    },
  );
}

t.test("without loss: no reply is doubled, every request is answered, no write is done twice", async (t) => {
  await fc.assert(
    fc.asyncProperty(deeds, fc.nat(), async (what, seed) => {
      const world = makeWorld({}, choicesOf(seed), 0);
      world.lossy = false;
      for (const deed of what) {
        // As the agent does: some version stays, or what is in flight is over before the last one goes. Otherwise
        // nobody could answer, and no answer is invented.
        if (deed.do === "versions" && deed.versions.length === 0) continue;
        if (deed.do === "versions" && !deed.versions.some((version) => world.harness.versions.has(version)))
          await world.harness.run();
        await perform(world, deed);
      }
      await world.harness.advance(20_000);
      const faults = faultsOf(world, false);
      for (const [index, client] of world.clients.entries()) {
        const answered = new Set(client.received.map((bytes) => parse(bytes).id));
        for (const id of world.sent[index]?.keys() ?? [])
          if (!answered.has(id)) faults.push(`${id} has no answer`);
      }
      for (const [write, times] of world.done) if (times > 1) faults.push(`${write} was done ${times} times`);
      if (faults.length > 0) throw new Error(faults.join("; "));
    }),
    { numRuns: RUNS },
  );
  t.pass();
});
