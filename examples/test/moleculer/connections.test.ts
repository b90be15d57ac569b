import { once } from "node:events";
import { createServer, type Server, type ServerResponse } from "node:http";
import { connect, type AddressInfo } from "node:net";
import { setTimeout as sleep } from "node:timers/promises";
import t, { type Test } from "tap";
import { load, RELEASES, type ConnectionsModule, type Release } from "./release-modules.ts";

const REQUEST = "GET / HTTP/1.1\r\nhost: kv\r\n\r\n";

/** A server that keeps its answers back, and one client connection to it that says whether it was ended. */
async function serve(t: Test, release: Release) {
  const { Connections } = await load<ConnectionsModule>(release, "connections.js");
  const responses: ServerResponse[] = [];
  const server: Server = createServer((_request, response) => void responses.push(response));
  const connections = new Connections(server);
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const accepted = once(server, "connection");
  const socket = connect((server.address() as AddressInfo).port, "127.0.0.1").resume();
  const state = { ended: false };
  socket.on("end", () => (state.ended = true));
  t.teardown(() => {
    socket.destroy();
    server.closeAllConnections();
    server.close();
  });
  await accepted;
  const ask = async (): Promise<void> => {
    const arrived = once(server, "request");
    socket.write(REQUEST);
    await arrived;
  };
  return { connections, state, responses, socket, ask };
}

for (const release of RELEASES) {
  t.test(`${release}: an idle connection is ended once it was idle for so long`, async (t) => {
    const { connections, state, socket } = await serve(t, release);
    connections.endIdle(60_000, []);
    await sleep(50);
    t.equal(state.ended, false);
    connections.endIdle(0, []);
    await once(socket, "end");
  });

  t.test(
    `${release}: a connection with a request under way is left alone until it is answered`,
    async (t) => {
      const { connections, state, responses, socket, ask } = await serve(t, release);
      await ask();
      connections.endIdle(0, []);
      await sleep(50);
      t.equal(state.ended, false);
      const answered = once(socket, "data");
      responses[0]?.end("ok");
      await answered;
      await sleep(50);
      connections.endIdle(0, []);
      await once(socket, "end");
    },
  );

  t.test(`${release}: connections from addresses to spare are left alone`, async (t) => {
    const { connections, state } = await serve(t, release);
    connections.endIdle(0, ["127.0.0.1"]);
    await sleep(50);
    t.equal(state.ended, false);
  });
}
