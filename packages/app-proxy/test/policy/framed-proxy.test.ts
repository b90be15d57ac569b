/** What protocols have that HTTP has not: sessions, requests without replies, replies in any order, no words for failures. */
import t from "tap";
import {
  linesFraming,
  MSGPACK_NIL,
  msgpackRpcFraming,
  oncRpcFraming,
  respEncode,
  respFraming,
  respRequest,
  rpcReply,
  type RespRequest,
  type RpcCall,
} from "../../index.ts";
import { framedReplies } from "../../testing/index.ts";
import { framedScene } from "./framed-scene.ts";

const resp = respFraming();
const OK = respEncode("OK");
const bytes = (...requests: RespRequest[]) =>
  Buffer.concat(requests.flatMap((each) => resp.encodeRequest(each)));
const line = ({ words }: RespRequest) => words.map(String).join(" ");

t.test("a session is made again on every later server connection, behind what it had become", async (t) => {
  const { harness, arrived, sides } = framedScene({
    framing: resp,
    answer: (request) => (line(request) === "SELECT 99" ? Buffer.from("-ERR no such db\r\n") : OK),
  });
  const client = harness.connect();
  const login = ["AUTH secret", "SELECT 1", "SELECT 2", "SELECT 99"].map((each) =>
    respRequest(...each.split(" ")),
  );
  client.send(bytes(...login, respRequest("SET", "k", "1")));
  await harness.run();
  t.equal(sides.length, 2);
  arrived.length = 0;
  sides.find(({ version }) => version === 2)?.reset();
  harness.setVersions([1, 2, 3]);
  client.send(bytes(respRequest("SET", "k", "2"), respRequest("GET", "k")));
  await harness.run();
  const reached = (wanted: number) =>
    arrived.filter(({ version }) => version === wanted).map(({ request }) => line(request));
  t.same(reached(1), ["SET k 2"]);
  t.same(reached(2), ["AUTH secret", "SELECT 2", "SET k 2"]);
  t.same(reached(3), ["AUTH secret", "SELECT 2", "SET k 2", "GET k"]);
  t.equal(String(client.received), "+OK\r\n".repeat(3) + "-ERR no such db\r\n" + "+OK\r\n".repeat(3));
});

t.test("what cannot be carried is answered by the proxy, in its turn, and nothing is sent", async (t) => {
  const { harness, arrived } = framedScene({ framing: resp, answer: () => OK });
  const client = harness.connect();
  client.send(bytes(respRequest("GET", "a"), respRequest("MULTI"), respRequest("GET", "b")));
  await harness.run();
  t.match(String(client.received), /^\+OK\r\n-ERR MULTI cannot be carried[^\r]*\r\n\+OK\r\n$/);
  t.same(
    arrived.map(({ request }) => line(request)),
    ["GET a", "GET b"],
  );
});

t.test("what the newest does not have is asked of the older, by RESP's own words for nothing", async (t) => {
  const { harness } = framedScene({
    framing: resp,
    answer: (_request, version) => (version === 2 ? respEncode(null) : respEncode(Buffer.from("old"))),
  });
  const client = harness.connect();
  client.send(bytes(respRequest("GET", "a")));
  await harness.run();
  t.equal(String(client.received), "$3\r\nold\r\n");
});

t.test("a quiet server connection is kept where servers do not close it", async (t) => {
  const { harness, sides } = framedScene({ framing: resp, answer: () => OK, versions: [1] });
  const client = harness.connect();
  client.send(bytes(respRequest("GET", "a")));
  await harness.advance(60_000);
  client.send(bytes(respRequest("GET", "a")));
  await harness.run();
  t.equal(sides.length, 1);
});

const rpc = oncRpcFraming({ classify: ({ procedure }) => ({ kind: procedure === 2 ? "write" : "read" }) });
const call = (xid: number, procedure: number): RpcCall => ({
  xid,
  program: 1,
  version: 1,
  procedure,
  authentication: Buffer.alloc(16),
  args: Buffer.alloc(0),
});

t.test("replies in another order than the requests find the right ones", async (t) => {
  const waiting: (() => void)[] = [];
  const { harness, sides } = framedScene({
    framing: rpc,
    versions: [1],
    answer: ({ xid }) => {
      const side = sides[0];
      waiting.push(() =>
        side?.send(Buffer.concat(rpc.encodeReply(rpcReply(xid, 0, Buffer.of(xid)), undefined, false))),
      );
      return undefined;
    },
  });
  const client = harness.connect();
  const calls = [call(5, 1), call(6, 1), call(7, 1)];
  client.send(Buffer.concat(calls.flatMap((each) => rpc.encodeRequest(each))));
  await harness.run();
  sides[0]?.send(Buffer.concat(rpc.encodeReply(rpcReply(99, 0), undefined, false)));
  for (const reply of waiting.toReversed()) reply();
  await harness.run();
  t.same(
    framedReplies(client.received, rpc, calls).map((reply) => [
      reply.xid,
      reply.kind === "accepted" && reply.results[0],
    ]),
    [
      [5, 5],
      [6, 6],
      [7, 7],
    ],
  );
});

t.test("a failure has the xid of its request", async (t) => {
  const { harness } = framedScene({ framing: rpc, answer: () => rpcReply(0, 0), versions: [] });
  const client = harness.connect();
  client.send(Buffer.concat(rpc.encodeRequest(call(8, 2))));
  await harness.run();
  t.match(framedReplies(client.received, rpc, [call(8, 2)]), [{ xid: 8, status: 5 }]);
});

t.test("requests without replies are sent on and hold up nothing", async (t) => {
  const framing = msgpackRpcFraming({
    classify: ({ method }) => ({ kind: method === "get" ? "read" : "write" }),
  });
  const { harness, arrived } = framedScene({
    framing,
    answer: ({ id }) => (id === undefined ? undefined : { id, error: MSGPACK_NIL, result: Buffer.of(1) }),
  });
  const client = harness.connect();
  const requests = [
    { id: 1, method: "get", params: MSGPACK_NIL },
    { id: undefined, method: "note", params: MSGPACK_NIL },
    { id: 2, method: "put", params: MSGPACK_NIL },
  ];
  client.send(Buffer.concat(requests.flatMap((each) => framing.encodeRequest(each))));
  await harness.run();
  t.match(framedReplies(client.received, framing, requests), [{ id: 1 }, { id: 2 }]);
  t.same(
    arrived
      .filter(({ request }) => request.method === "note")
      .map(({ version }) => version)
      .toSorted((left, right) => left - right),
    [1, 2],
  );
  t.equal(harness.requestsInFlight, 0);
});

t.test("without words for a failure the connection ends, behind the replies before it", async (t) => {
  const framing = linesFraming({ classify: (request) => ({ kind: request === "put" ? "write" : "read" }) });
  const { harness } = framedScene({
    framing,
    answer: (request) => (request === "put" ? "reset" : `re ${request}`),
  });
  const client = harness.connect();
  client.send("get\nput\nget\n");
  await harness.run();
  t.equal(String(client.received), "re get\n");
  t.ok(client.ended);
  t.equal(harness.requestsInFlight, 0);
});

t.test("what is no message is refused in the protocol's words, and the connection ends", async (t) => {
  const { harness } = framedScene({ framing: resp, answer: () => OK });
  const client = harness.connect();
  client.send(Buffer.concat([bytes(respRequest("GET", "a")), Buffer.from("*1\r\n:1\r\n")]));
  await harness.run();
  t.match(String(client.received), /^\+OK\r\n-ERR Protocol error: [^\r]+\r\n$/);
  t.ok(client.ended);
});

t.test(
  "a fault in the application's classifier or in a reply that it made costs no more than it must",
  async (t) => {
    const framing = linesFraming({ failure: (kind) => `ERR ${kind}` });
    const { harness } = framedScene({
      framing,
      answer: (request) => `re ${request}`,
      classify: (request) => {
        if (request === "fault") throw new Error("a fault");
        return { kind: "read" };
      },
      transformReply: (reply) => (reply === "re bad" ? "two\nlines" : reply),
    });
    const client = harness.connect();
    client.send("a\nfault\nb\nbad\nc\n");
    await harness.run();
    t.equal(String(client.received), "re a\nERR internal\nre b\n");
    t.ok(client.ended);
  },
);
