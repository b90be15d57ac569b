/**
 * Programs as Debian has them, in domains of two versions on the same ports: iperf3, dnsmasq and dig, dropbear and
 * OpenSSH's clients, busybox httpd and curl. Each is answered by its own version, sees its peer's true address and
 * port, and what it takes for its own address is what its peers see.
 */
import { createHash, randomBytes } from "node:crypto";
import { chmodSync, existsSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import t from "tap";
import { Lab, sh, whyNoLab } from "./lab.ts";
import { iperf, IPERF_PORT } from "./programs/iperf.ts";
import { Running, runIn } from "./programs/running.ts";
import { makeClientKey, SSH_PORT, SshServer } from "./programs/ssh.ts";
import type { LabNode } from "./lab.ts";

const VERSIONS = [1, 2] as const;
const DNS_PORT = 53;
const HTTP_PORT = 8080;
const FILE_BYTES = 8 << 20;
const PORTS = {
  peer: [
    `tcp/${IPERF_PORT}`,
    `udp/${IPERF_PORT}`,
    `tcp/${DNS_PORT}`,
    `udp/${DNS_PORT}`,
    `tcp/${SSH_PORT}`,
    `tcp/${HTTP_PORT}`,
  ],
  client: [],
} as const;

const skip = whyNoLab() || whyNoPrograms();
t.setTimeout(300_000);
if (skip === false) await run();
else t.plan(0, skip);

function whyNoPrograms(): string | false {
  const programs = ["iperf3", "dnsmasq", "dig", "dropbear", "ssh", "scp", "busybox", "curl", "unshare"];
  const missing = programs.filter((program) => {
    try {
      sh("which", program);
      return false;
    } catch {
      return true;
    }
  });
  return missing.length > 0 && `needs ${missing.join(", ")}: scripts/setup installs them`;
}

function sha(bytes: Buffer): string {
  return createHash("sha256").update(bytes).digest("hex");
}

async function run(): Promise<void> {
  const lab = await Lab.create(2);
  const servers: Running[] = [];
  t.teardown(async () => {
    for (const server of servers) await server.kill();
    await lab.close();
  });
  const [a, b] = lab.nodes as [LabNode, LabNode];
  for (const node of lab.nodes) {
    await node.call("setManagedPeers", [a.address, b.address]);
    for (const version of VERSIONS) {
      await node.domain(version - 1, version);
      await node.call("setPorts", version - 1, PORTS);
    }
  }
  const asker = (version: number): string => a.domainNamespace(version - 1);
  const asked = (version: number): string => b.domainNamespace(version - 1);
  const directory = (name: string, version: number): string => {
    const path = join(lab.directory, `${name}-v${version}`);
    mkdirSync(path);
    return path;
  };

  for (const [name, mode] of [
    ["TCP", []],
    ["TCP, 8 streams", ["-P", "8"]],
    ["TCP, from the server", ["-R"]],
    ["TCP, both ways", ["--bidir"]],
    ["UDP", ["-u", "-b", "50M"]],
    ["UDP, 8 streams, from the server", ["-u", "-b", "5M", "-P", "8", "-R"]],
    ["UDP, both ways", ["-u", "-b", "50M", "--bidir"]],
  ] as const) {
    t.test(`iperf3, ${name}`, async (t) => {
      const runs = await Promise.all(
        VERSIONS.map((version) => iperf(asker(version), asked(version), b.address, mode)),
      );
      for (const [index, run] of runs.entries()) {
        t.equal(run.clientCookie, run.serverCookie, `version ${VERSIONS[index]} met its own`);
        t.same(run.clientStreams, run.serverStreams, "both see the same addresses and ports");
        for (const stream of run.clientStreams)
          t.match(stream, /^10\.78\.0\.1:\d+ 10\.78\.0\.2:5201$/, "which are the true ones");
        t.ok(run.receivedBytes > 0, `${run.receivedBytes} bytes`);
      }
      t.not(runs[0]?.clientCookie, runs[1]?.clientCookie);
    });
  }

  t.test("dnsmasq and dig, over UDP and TCP, and from one to the other", async (t) => {
    for (const version of VERSIONS) {
      // Too long for a datagram of 1232 bytes, which both agree on: dig asks again over TCP.
      const long = Array.from({ length: 8 }, (_, part) => `v${version}-${part}-`.padEnd(200, "x")).join(",");
      const records = [`--txt-record=who.test,v${version}`, `--txt-record=long.test,${long}`];
      const place = [
        "--keep-in-foreground",
        "--conf-file=/dev/null",
        "--no-resolv",
        "--no-hosts",
        "--pid-file=",
      ];
      const words = [...place, "--user=root", "--log-queries=extra", "--log-facility=-", ...records];
      const server = await Running.server(asked(version), "udp", DNS_PORT, "dnsmasq", ...words);
      servers.push(server);
      const dig = (...more: string[]): Promise<string> =>
        runIn(asker(version), "dig", `@${b.address}`, ...more);
      const from = 20_100 + version;
      t.equal(await dig("-b", `${a.address}#${from}`, "+short", "who.test", "TXT"), `"v${version}"\n`);
      t.ok(await server.says(new RegExp(`${a.address}/${from} query\\[TXT\\] who\\.test`)));
      t.equal(await dig("+tcp", "+short", "who.test", "TXT"), `"v${version}"\n`);
      const answer = await dig("long.test", "TXT");
      t.match(answer, /Truncated, retrying in TCP mode/);
      t.equal(answer.match(new RegExp(`"v${version}-\\d-x+"`, "g"))?.length, 8);
      t.match(answer, `SERVER: ${b.address}#${DNS_PORT}`);
    }
    const [first, second] = servers.map((server) => server.output);
    t.notMatch(first, /20102/, "version 1 never heard of version 2");
    t.notMatch(second, /20101/);
  });

  t.test("ssh and scp to dropbear", async (t) => {
    const key = makeClientKey(lab.directory);
    const makeHost = (version: number): SshServer => new SshServer(directory("ssh", version), key, b.address);
    const [first, second] = [makeHost(1), makeHost(2)] as const;
    const hosts = [
      [1, first],
      [2, second],
    ] as const;
    for (const [version, host] of hosts) servers.push(await host.start(asked(version), `v${version}`));
    for (const [version, host] of hosts) {
      const session = host.session(asker(version), 'echo "told $SERVER_NAME $SSH_CONNECTION"; cat');
      const [, name, theirs] = await session.says(/told (\S+) (\S+ \S+ \S+ \S+)/);
      t.equal(name, `v${version}`, "behind the host key of its own version");
      const sockets = await runIn(
        asker(version),
        "ss",
        "-Htn",
        "state",
        "established",
        `dport = :${SSH_PORT}`,
      );
      const [, , mine = "", peer = ""] = sockets.trim().split(/\s+/);
      t.equal(theirs, `${mine} ${peer}`.replaceAll(":", " "), "the server's view is the client's own");
      t.equal(mine.split(":")[0], a.address);
      t.equal(peer, `${b.address}:${SSH_PORT}`);
      await session.end();

      const original = join(host.home, "..", "original");
      writeFileSync(original, randomBytes(FILE_BYTES));
      await host.copy(asker(version), original, ":there");
      t.equal(sha(readFileSync(join(host.home, "there"))), sha(readFileSync(original)));
      await host.copy(asker(version), ":there", `${original}-back`);
      t.equal(sha(readFileSync(`${original}-back`)), sha(readFileSync(original)));
      if (version === 1) t.notOk(existsSync(join(second.home, "there")));
    }
    await t.rejects(
      first.copy(asker(2), ":there", join(lab.directory, "stolen")),
      /REMOTE HOST IDENTIFICATION HAS CHANGED|verification failed/,
      "what version 2 reaches has not the key of version 1",
    );
  });

  t.test("curl and busybox httpd", async (t) => {
    for (const version of VERSIONS) {
      const root = directory("www", version);
      mkdirSync(join(root, "cgi-bin"));
      const script = join(root, "cgi-bin/who");
      const lines = [
        "#!/bin/sh",
        String.raw`printf 'Content-Type: text/plain\r\n\r\n'`,
        `echo "v${version} $REMOTE_ADDR:$REMOTE_PORT"`,
      ];
      writeFileSync(script, `${lines.join("\n")}\n`);
      chmodSync(script, 0o755);
      writeFileSync(join(root, "file"), randomBytes(FILE_BYTES));
      const words = ["busybox", "httpd", "-f", "-p", `0.0.0.0:${HTTP_PORT}`, "-h", root];
      servers.push(await Running.server(asked(version), "tcp", HTTP_PORT, ...words));
    }
    for (const version of VERSIONS) {
      const url = `http://${b.address}:${HTTP_PORT}`;
      const curl = (...words: string[]): Promise<string> =>
        runIn(asker(version), "curl", "-sS", "--fail", ...words);
      const view = "%{local_ip}:%{local_port} %{remote_ip}:%{remote_port}";
      for (let request = 0; request < 10; request += 1) {
        const [answer = "", mine = ""] = (await curl("-w", view, `${url}/cgi-bin/who`)).split("\n");
        const [local = "", remote] = mine.split(" ");
        t.equal(answer, `v${version} ${local}`);
        t.ok(local.startsWith(`${a.address}:`), local);
        t.equal(remote, `${b.address}:${HTTP_PORT}`);
      }
      const fetched = join(lab.directory, `fetched-v${version}`);
      await curl("-o", fetched, `${url}/file`);
      const original = join(lab.directory, `www-v${version}`, "file");
      t.equal(sha(readFileSync(fetched)), sha(readFileSync(original)), "the file of its own version");
    }
  });

  t.test("nothing was refused, nothing failed", async (t) => {
    for (const node of [a, b]) {
      for (const verdict of [
        "wrong_version",
        "unknown_version",
        "unmarked",
        "no_room",
        "no_flow",
        "fragment",
        "kernel_error",
      ])
        t.equal(await node.counter(verdict), 0, `${node.address} ${verdict}`);
    }
  });
}
