/** A proxy whose code hangs is an outage until somebody ends it. */
import t from "tap";
import { createProxySupervisor } from "../../proxy/index.ts";
import { ask, fakeVersion, freePort, makeStage, withoutInstrumentation } from "./stage.ts";

withoutInstrumentation();

t.test("a proxy that does not answer is killed and started anew", async (t) => {
  const stage = makeStage();
  const port = await freePort();
  const one = await fakeVersion("1");
  const modulePath = stage.writeModule(
    "hang.js",
    `export default (toolkit) => toolkit.createHttpProxy({
       reads: ({ request }) => { if (request.target === "/hang") for (;;); return { kind: "answer", reply: toolkit.plainReply(200, "fine") }; },
     });\n`,
  );
  const log: string[] = [];
  const limits = { aliveIntervalMs: 200, aliveTimeoutMs: 1_500 };
  const { runDirectory, logDirectory } = stage;
  const proxies = createProxySupervisor({
    runDirectory,
    logDirectory,
    limits,
    log: (line) => log.push(line),
  });
  t.teardown(async () => {
    await proxies.stop("kv");
    proxies.close();
    one.close();
    stage.remove();
  });
  const versions = [{ version: 1, endpoints: { [`tcp/${port}`]: one.endpoint } }];
  await proxies.ensure({
    service: "kv",
    modulePath,
    address: "127.0.0.1",
    listen: [`tcp/${port}`],
    versions,
  });
  await t.rejects(ask(false, port, "GET", "/hang"), { code: "ECONNRESET" });
  t.match(await ask(false, port, "GET", "/"), { status: 200 });
  t.match(log.join("\n"), /hangs and is killed/);
});
