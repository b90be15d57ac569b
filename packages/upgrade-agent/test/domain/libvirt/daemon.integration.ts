/**
 * Needs root. Our client against a real libvirtd with its own `test:///default` driver: over TCP, saving and restoring,
 * a daemon that stands still, and one that is restarted under an open session.
 */
import { spawn } from "node:child_process";
import { once } from "node:events";
import { chmodSync, existsSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { createServer } from "node:net";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import t from "tap";
import type { Test } from "tap";
import { Connection } from "../../../domain/libvirt/connection.ts";
import { Session } from "../../../domain/libvirt/session.ts";

const URI = "test:///default";

const skip =
  process.getuid?.() !== 0
    ? "needs root"
    : !existsSync("/usr/sbin/libvirtd") && "needs libvirtd: apt-get install libvirt-daemon";

async function freePort(): Promise<number> {
  const server = createServer().listen(0, "127.0.0.1");
  await once(server, "listening");
  const { port } = server.address() as AddressInfo;
  server.close();
  await once(server, "close");
  return port;
}

/** A libvirtd that listens on TCP at loopback, with its state in a directory of its own. */
class TcpDaemon {
  readonly #home: string;
  readonly address: string;
  #process: ReturnType<typeof spawn> | undefined;

  private constructor(home: string, port: number) {
    this.#home = home;
    this.address = `tcp://127.0.0.1:${port}`;
    const settings = [
      `unix_sock_dir = "${home}"`,
      'auth_unix_ro = "none"',
      'auth_unix_rw = "none"',
      "listen_tls = 0",
      "listen_tcp = 1",
      'listen_addr = "127.0.0.1"',
      `tcp_port = "${port}"`,
      'auth_tcp = "none"',
    ];
    writeFileSync(join(home, "libvirtd.conf"), `${settings.join("\n")}\n`);
  }

  static async start(t: Test): Promise<TcpDaemon> {
    const home = mkdtempSync(join(tmpdir(), "vmtcp-"));
    chmodSync(home, 0o755);
    const daemon = new TcpDaemon(home, await freePort());
    t.teardown(async () => {
      await daemon.kill();
      rmSync(home, { recursive: true, force: true });
    });
    daemon.run();
    return daemon;
  }

  run(): void {
    const [config, pidFile] = [join(this.#home, "libvirtd.conf"), join(this.#home, "pid")];
    const view = 'mount -t tmpfs tmpfs /run/libvirt 2>/dev/null || true; exec libvirtd "$@"';
    const options = ["--listen", "--config", config, "--pid-file", pidFile];
    this.#process = spawn(
      "unshare",
      ["--mount", "--propagation", "private", "sh", "-c", view, "libvirtd", ...options],
      {
        stdio: "ignore",
      },
    );
  }

  signal(name: NodeJS.Signals): void {
    this.#process?.kill(name);
  }

  async kill(): Promise<void> {
    if (this.#process === undefined || this.#process.exitCode !== null || this.#process.signalCode !== null)
      return;
    const ended = once(this.#process, "exit");
    this.#process.kill("SIGKILL");
    await ended;
  }

  /** Its first start looks at every driver and may take ten seconds. */
  async open(options: { readonly intervalMs: number } = { intervalMs: 5000 }): Promise<Connection> {
    const keepAlive = { ...options, count: 3 };
    for (let tries = 0; ; tries++) {
      try {
        return await Connection.open({ socket: this.address, uri: URI, keepAlive });
      } catch (error) {
        if (tries === 600) throw error;
        await sleep(100);
      }
    }
  }
}

t.setTimeout(300_000);

void t.test("a real libvirtd over TCP", { skip }, async (t) => {
  const daemon = await TcpDaemon.start(t);

  await t.test("saves a domain to a file and goes on with it from there", async (t) => {
    const connection = await daemon.open();
    t.ok(connection.libVersion >= 6_000_000);
    const file = join(t.testdir(), "saved");
    const domain = await connection.lookupDomainByName("test");
    await domain.save(file);
    t.equal(await (await connection.lookupDomainByName("test")).isRunning(), false);
    t.ok(existsSync(file));
    await connection.restoreDomain(file);
    const restored = await connection.lookupDomainByName("test");
    t.equal(await restored.isRunning(), true);
    await restored.shutdown();
    t.equal(await (await connection.lookupDomainByName("test")).isRunning(), false);
    await t.rejects(connection.restoreDomain("/nowhere/saved"), { code: "E_LIBVIRT" });
    await connection.close();
  });

  await t.test("pings cross an idle connection; one that stands still is given up", async (t) => {
    const connection = await daemon.open({ intervalMs: 200 });
    await sleep(2000);
    t.equal(connection.alive, true, "ten intervals without a call");
    daemon.signal("SIGSTOP");
    t.teardown(() => daemon.signal("SIGCONT"));
    await t.rejects(connection.lookupDomainByName("test"), { code: "E_NO_LIBVIRT", message: /sign of life/ });
    t.equal(connection.alive, false);
    daemon.signal("SIGCONT");
  });

  await t.test("a session goes on when the daemon is killed and started again", async (t) => {
    const session = new Session({ socket: daemon.address, uri: URI });
    const names = (): Promise<string[]> =>
      session.run(async (connection) => (await connection.listAllDomains()).map(({ name }) => name));
    t.same(await names(), ["test"]);
    await daemon.kill();
    const asked = names();
    daemon.run();
    t.same(await asked, ["test"]);
    await session.close();
  });
});
