/** Each generated proxy is packed, unpacked elsewhere, passes its own generated test, and serves as a process. */
import { execFile, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdir, mkdtemp, rm, symlink, writeFile } from "node:fs/promises";
import http from "node:http";
import net from "node:net";
import { tmpdir } from "node:os";
import path from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import t, { type Test } from "tap";
import { PROXY_KINDS, proxySkeleton, type ProxyKind } from "../../skeleton/index.ts";

const run = promisify(execFile);
const node = process.execPath;
const main = fileURLToPath(new URL("../../host/main.ts", import.meta.url));
const modules = fileURLToPath(new URL("../../../../node_modules", import.meta.url));

/** The directory of the unpacked release. */
async function packed(t: Test, kind: ProxyKind): Promise<string> {
  const directory = await mkdtemp(path.join(tmpdir(), "proxy-skeleton-"));
  t.teardown(() => rm(directory, { recursive: true, force: true }));
  const [source, target] = [path.join(directory, "source"), path.join(directory, "target")];
  for (const { path: file, text } of proxySkeleton(kind).files) {
    await mkdir(path.dirname(path.join(source, file)), { recursive: true });
    await writeFile(path.join(source, file), text);
  }
  await writeFile(path.join(source, "package.json"), '{"type":"module"}');
  await mkdir(target);
  await run("tar", ["-czf", path.join(directory, "release.tgz"), "-C", source, "."]);
  await run("tar", ["-xzf", path.join(directory, "release.tgz"), "-C", target]);
  return target;
}

function get(socketPath: string, url: string): Promise<{ readonly status?: number; readonly text: string }> {
  return new Promise((resolve, reject) => {
    http
      .get({ socketPath, path: url, agent: false }, (response) => {
        let text = "";
        response.on("data", (chunk) => (text += String(chunk)));
        response.on("end", () => resolve({ status: response.statusCode ?? 0, text }));
      })
      .on("error", reject);
  });
}

async function freePort(): Promise<number> {
  const server = net.createServer().listen(0, "127.0.0.1");
  await once(server, "listening");
  const { port } = server.address() as net.AddressInfo;
  server.close();
  return port;
}

for (const kind of PROXY_KINDS) {
  t.test(`${kind}: the generated test passes where the release is unpacked`, async (t) => {
    const directory = await packed(t, kind);
    await symlink(modules, path.join(directory, "node_modules"));
    const [, ...args] = proxySkeleton(kind).testCommand;
    // Under the runner of these tests a runner of Node's would report to it instead of deciding.
    const { NODE_TEST_CONTEXT: _context, NODE_OPTIONS: _options, ...env } = process.env;
    const { stdout } = await run(node, args, { cwd: directory, env });
    t.match(stdout, /pass 1\n/);
    t.match(stdout, /fail 0\n/);
  });

  t.test(`${kind}: the process loads the module and answers its control interface`, async (t) => {
    const directory = await packed(t, kind);
    const control = path.join(directory, "c.sock");
    const module = path.join(directory, proxySkeleton(kind).manifest.proxy.module);
    const launch = {
      service: "kv",
      module,
      control: { path: control },
      listen: [{ port: kind === "datagram" ? "udp/53" : "tcp/80", address: `127.0.0.1:${await freePort()}` }],
      versions: [],
    };
    const child = spawn(node, [main, JSON.stringify(launch)], { stdio: ["ignore", "ignore", "pipe"] });
    t.teardown(() => child.kill("SIGKILL"));
    let log = "";
    child.stderr.on("data", (chunk) => (log += String(chunk)));
    for (
      let waitedMs = 0;
      !log.includes("serving") && child.exitCode === null && waitedMs < 30_000;
      waitedMs += 50
    ) {
      await sleep(50);
    }
    t.match(log, /module: writing to all versions/);
    t.match(JSON.parse((await get(control, "/v1/status")).text), {
      service: "kv",
      quarantined: [],
      perVersion: {},
    });
    t.same(JSON.parse((await get(control, "/v1/events?after=0")).text), { events: [] });
  });
}
