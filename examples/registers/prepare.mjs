#!/usr/bin/env node
/**
 * Makes the releases of three services, each of which serves registers by one protocol, out of v1 and v2:
 * `prepare.mjs DIRECTORY [slow]` writes DIRECTORY/registers-{http,resp,udp}-{1,2}, ready for `vm-upgrade pack`. With `slow`
 * they have deadlines, and a pause between looks at their health, for machines of which all is emulated, and more memory,
 * because the kernel of a virtual machine takes its part.
 */
import { cpSync, mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";

const SERVICES = {
  http: { port: 8080, client: ["tcp/8080"] },
  resp: { port: 6379, client: ["tcp/6379"] },
  // The TCP port is for the migrator.
  udp: { port: 5300, client: ["udp/5300", "tcp/5300"] },
};

const [output, pace = "quick"] = process.argv.slice(2);
const PACES = {
  quick: { times: 1, intervalMs: 500, memoryMiB: 128 },
  slow: { times: 10, intervalMs: 3_000, memoryMiB: 192 },
};
if (output === undefined || !(pace in PACES)) {
  console.error("usage: prepare.mjs DIRECTORY [slow]");
  process.exit(2);
}
const { times, intervalMs, memoryMiB } = PACES[pace];

function manifest(protocol, version) {
  const { port, client } = SERVICES[protocol];
  const words = `${protocol} ${port}`;
  const signal = (name) => `kill -${name} "$(cat /run/registers.pid)"`;
  return {
    manifest: 1,
    service: `registers-${protocol}`,
    version,
    label: `${version}.0.0`,
    memoryMiB,
    ports: { peer: [], client },
    hooks: {
      start: `echo $$ >/run/registers.pid && exec node index.js ${words} /var/lib/registers`,
      health: { command: `bash health ${words}`, timeoutMs: times * 10_000 },
      drain: { command: signal("USR2"), timeoutMs: times * 10_000 },
      ...(version > 1
        ? { migrate: { command: `node migrate.js ${words}`, timeoutMs: times * 120_000 } }
        : {}),
      stop: { command: signal("TERM"), timeoutMs: times * 10_000 },
    },
    health: { intervalMs, successes: 2, deadlineMs: times * 120_000 },
    // A client of datagrams has gone when it was quiet for long; after this it is led to the proxy all the same.
    drain:
      protocol === "udp"
        ? { timeoutMs: times * 5_000, onTimeout: "reset" }
        : { timeoutMs: times * 30_000, onTimeout: "fail" },
    ...(version > 1 ? { proxy: { module: `proxy/${protocol}.js` } } : {}),
  };
}

for (const protocol of Object.keys(SERVICES)) {
  for (const version of [1, 2]) {
    const release = join(output, `registers-${protocol}-${version}`);
    mkdirSync(release, { recursive: true });
    cpSync(join(import.meta.dirname, `v${version}`), release, { recursive: true });
    writeFileSync(
      join(release, "version.json"),
      `${JSON.stringify(manifest(protocol, version), undefined, 2)}\n`,
    );
  }
}
