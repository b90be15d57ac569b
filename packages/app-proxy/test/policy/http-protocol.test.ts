/** The ready-made HTTP proxy as a party of the protocol: ends, draining, refusals, headers, translation. */
import t from "tap";
import { createHttpProxy, type HttpRequest } from "../../index.ts";
import { Harness, repliesIn, type ServerSide } from "../../testing/index.ts";
import { byVersion, exchange, makeScene, plain } from "./http-scene.ts";

t.test("the client's wish to close is granted after the last reply", async (t) => {
  const { harness } = makeScene({ answer: byVersion });
  const client = harness.connect();
  client.send(
    plain("GET", "/a") + plain("GET", "/b", "", "Connection: close\r\n") + plain("GET", "/ignored"),
  );
  await harness.run();
  const replies = repliesIn(client.received, ["GET", "GET"]);
  t.same(
    replies.map(({ headers }) => headers.find(([name]) => name === "Connection")?.[1]),
    [undefined, "close"],
  );
  t.ok(client.ended);
});

t.test("draining: the next reply says close; what came before is answered", async (t) => {
  const { harness } = makeScene({ answer: byVersion });
  const client = harness.connect();
  client.send(plain("GET", "/a"));
  await harness.run();
  harness.drain();
  await harness.run();
  t.notOk(client.ended);
  client.send(plain("GET", "/b") + plain("GET", "/c") + plain("GET", "/d").slice(0, 10));
  await harness.run();
  t.notOk(client.ended, "a request has begun");
  client.send(plain("GET", "/d").slice(10));
  await harness.run();
  const replies = repliesIn(client.received, ["GET", "GET", "GET", "GET"]);
  t.equal(replies.length, 4);
  t.match(replies.at(-1)?.headers.at(-1), ["Connection", "close"]);
  t.ok(client.ended);
});

t.test("a client that half-closes gets its replies", async (t) => {
  const { harness } = makeScene({ answer: byVersion });
  const client = harness.connect();
  client.send(plain("GET", "/a") + plain("PUT", "/b", "x"));
  client.end();
  await harness.run();
  t.equal(repliesIn(client.received, ["GET", "PUT"]).length, 2);
  t.equal(client.closed, "ended");
});

t.test("a write reaches all versions though its client has gone", async (t) => {
  const { harness, arrived } = makeScene({ answer: byVersion });
  const client = harness.connect();
  client.send(plain("PUT", "/a", "x"));
  harness.step();
  client.reset();
  await harness.run();
  t.same(arrived.toSorted(), ["1 PUT /a", "2 PUT /a"]);
  t.match(client.closed, /went away/);
  t.equal(harness.requestsInFlight, 0);
});

t.test("requests that are none are answered, then the connection ends", async (t) => {
  const cases: [string, number][] = [
    ["nonsense\r\n\r\n", 400],
    [`GET / HTTP/1.1\r\nHost: h\r\nX: ${"x".repeat(70_000)}\r\n\r\n`, 431],
    ["PUT / HTTP/1.1\r\nHost: h\r\nContent-Length: 999999999\r\n\r\n", 413],
  ];
  for (const [bytes, status] of cases) {
    const { harness } = makeScene({ answer: byVersion });
    const client = harness.connect();
    client.send(plain("GET", "/a") + bytes);
    await harness.run();
    t.match(repliesIn(client.received, ["GET", "GET"]), [{ status: 200 }, { status }]);
    t.ok(client.ended);
  }
});

t.test("100 Continue comes after the replies to what was sent before", async (t) => {
  const { harness } = makeScene({ answer: byVersion });
  const client = harness.connect();
  const head = "PUT /b HTTP/1.1\r\nHost: h\r\nExpect: 100-continue\r\nContent-Length: 1\r\n\r\n";
  client.send(plain("GET", "/a") + head);
  await harness.run();
  t.match(client.received.toString(), /^HTTP\/1.1 200[^]*v2HTTP\/1.1 100 Continue\r\n\r\n$/);
  client.send("x");
  await harness.run();
  t.equal(repliesIn(client.received, ["GET", "PUT"]).length, 2);
});

t.test("hop-by-hop headers stop here; bodies are framed anew", async (t) => {
  let seen: HttpRequest | undefined;
  const { harness } = makeScene({
    versions: [1],
    answer: (request) => {
      seen = request;
      return {
        status: 200,
        headers: [
          ["Keep-Alive", "timeout=5"],
          ["X-Kept", "1"],
        ],
        body: "b",
      };
    },
  });
  const client = harness.connect();
  client.send(
    "POST /a HTTP/1.1\r\nHost: h\r\nConnection: x-gone\r\nX-Gone: 1\r\nX-Kept: 2\r\nUpgrade: h2c\r\n" +
      "Transfer-Encoding: chunked\r\n\r\n2;evil=1\r\nab\r\n0\r\nX-Trailer: 1\r\n\r\n",
  );
  await harness.run();
  t.same(seen?.headers, [
    ["Host", "h"],
    ["X-Kept", "2"],
    ["Content-Length", "2"],
  ]);
  t.equal(Buffer.from(seen?.body ?? []).toString(), "ab");
  const [reply] = repliesIn(client.received, ["POST"]);
  t.same(reply?.headers, [
    ["X-Kept", "1"],
    ["Content-Length", "1"],
  ]);
});

t.test("translation between versions, and faults in it", async (t) => {
  const { harness, arrived } = makeScene({
    answer: (request, version) => ({ status: 200, body: `${version}:${request.target}` }),
    transformRequest: (request, version) => {
      if (request.target === "/fault") throw new Error("a fault");
      return version === 2 ? { ...request, target: `/v2${request.target}` } : request;
    },
    transformReply: (reply) => ({ ...reply, body: Buffer.from(`<${Buffer.from(reply.body).toString()}>`) }),
  });
  t.same(await exchange(harness, plain("GET", "/a"), plain("PUT", "/b", "x")), [
    [200, "<2:/v2/a>"],
    [200, "<2:/v2/b>"],
  ]);
  t.same(arrived.toSorted(), ["1 PUT /b", "2 GET /v2/a", "2 PUT /v2/b"]);
  t.match(await exchange(harness, plain("PUT", "/fault", "x"), plain("GET", "/a")), [[500], [200]]);
});

t.test("large requests are not taken in advance", async (t) => {
  const { harness } = makeScene({ answer: () => "hang", limits: { pipelineBytesMax: 10_000 } });
  const client = harness.connect();
  const large = "x".repeat(6_000);
  client.send([1, 2, 3, 4].map((n) => plain("PUT", `/${n}`, large)).join(""));
  await harness.run();
  t.equal(harness.requestsInFlight, 2);
});

t.test("bytes that nobody asked for do not become somebody's reply", async (t) => {
  let connections = 0;
  const serve = (side: ServerSide) => {
    connections += 1;
    return {
      data: () => {
        side.send(Buffer.from("HTTP/1.1 200 A\r\nContent-Length: 1\r\n\r\na"));
        side.send(Buffer.from("HTTP/1.1 200 B\r\nContent-Length: 1\r\n\r\nb"));
      },
    };
  };
  const harness = new Harness({ handlers: createHttpProxy(), versions: [1], serve });
  const client = harness.connect();
  for (let n = 0; n < 3; n += 1) {
    client.send(plain("GET", `/${n}`));
    await harness.run();
  }
  const replies = repliesIn(client.received, ["GET", "GET", "GET"]);
  t.same(
    replies.map(({ body }) => Buffer.from(body).toString()),
    ["a", "a", "a"],
  );
  t.equal(connections, 3, "a connection that did that is not used again");
});

t.test("a reply that ends with its connection", async (t) => {
  const serve = (side: ServerSide) => ({
    data: () => {
      side.send(Buffer.from("HTTP/1.0 200 OK\r\n\r\nold style"));
      side.end();
    },
  });
  const harness = new Harness({ handlers: createHttpProxy(), versions: [1], serve });
  t.same(await exchange(harness, plain("GET", "/1"), plain("PUT", "/2", "x")), [
    [200, "old style"],
    [200, "old style"],
  ]);
});
