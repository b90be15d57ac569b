/** The agent is killed for good: its proxy goes on serving, and the next agent finds it. */
import { spawn } from "node:child_process";
import http from "node:http";
import { fileURLToPath } from "node:url";
import t from "tap";
import { createProxySupervisor, type ProxyRequest } from "../../proxy/index.ts";
import { ask, fakeVersion, freePort, makeStage, startLoad, withoutInstrumentation } from "./stage.ts";

withoutInstrumentation();

t.test("kill -9 of the agent under load: no request fails", async (t) => {
  const stage = makeStage();
  const port = await freePort();
  const one = await fakeVersion("1");
  const two = await fakeVersion("2");
  const request: ProxyRequest = {
    service: "kv",
    modulePath: stage.modulePath,
    address: "127.0.0.1",
    listen: [`tcp/${port}`],
    versions: [one, two].map(({ endpoint }, index) => ({
      version: index + 1,
      endpoints: { [`tcp/${port}`]: endpoint },
    })),
  };
  const { runDirectory, logDirectory } = stage;
  const agentFile = fileURLToPath(new URL("agent.ts", import.meta.url));
  const orders = JSON.stringify({ runDirectory, logDirectory, request });
  const agent = spawn(process.execPath, [agentFile, orders], { stdio: ["ignore", "pipe", "inherit"] });
  const next = createProxySupervisor({ runDirectory, logDirectory });
  t.teardown(async () => {
    agent.kill("SIGKILL");
    await next.stop("kv");
    next.close();
    one.close();
    two.close();
    stage.remove();
  });
  const agentEnded = new Promise((resolve) => agent.once("exit", resolve));
  await new Promise((resolve) => agent.stdout.once("data", resolve));
  const keepAlive = new http.Agent({ keepAlive: true, maxSockets: 1 });
  t.teardown(() => keepAlive.destroy());
  await ask(keepAlive, port, "PUT", "/a", "1");
  const load = startLoad(4, false, () => port);
  while (load.answered < 50) await new Promise((resolve) => setImmediate(resolve));
  agent.kill("SIGKILL");
  await agentEnded;
  const wanted = load.answered + 50;
  while (load.answered < wanted) await new Promise((resolve) => setImmediate(resolve));
  t.equal(next.has("kv"), true);
  await next.ensure(request);
  t.match(
    await ask(keepAlive, port, "GET", "/a"),
    { status: 200, body: "1" },
    "on the connection from before",
  );
  await load.stop();
  t.same(load.failures, []);
});
