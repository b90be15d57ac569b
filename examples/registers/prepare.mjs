#!/usr/bin/env node
/**
 * Makes the releases of three services, each of which serves registers by one protocol, out of v1 and v2:
 * `prepare.mjs DIRECTORY` writes DIRECTORY/registers-{http,resp,udp}-{1,2}, ready for `vm-upgrade pack`.
 */
import { cpSync, mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";

const SERVICES = {
  http: { port: 8080, client: ["tcp/8080"] },
  resp: { port: 6379, client: ["tcp/6379"] },
  // The TCP port is for the migrator.
  udp: { port: 5300, client: ["udp/5300", "tcp/5300"] },
};

function manifest(protocol, version) {
  const { port, client } = SERVICES[protocol];
  const words = `${protocol} ${port}`;
  const signal = (name) => `kill -${name} "$(cat /run/registers.pid)"`;
  return {
    manifest: 1,
    service: `registers-${protocol}`,
    version,
    label: `${version}.0.0`,
    memoryMiB: 128,
    ports: { peer: [], client },
    hooks: {
      start: `echo $$ >/run/registers.pid && exec node index.js ${words} /var/lib/registers`,
      health: { command: `bash health ${words}`, timeoutMs: 10_000 },
      drain: { command: signal("USR2"), timeoutMs: 10_000 },
      ...(version > 1 ? { migrate: { command: `node migrate.js ${words}`, timeoutMs: 120_000 } } : {}),
      stop: { command: signal("TERM"), timeoutMs: 10_000 },
    },
    health: { intervalMs: 500, successes: 2, deadlineMs: 120_000 },
    // A client of datagrams has gone when it was quiet for long; after this it is led to the proxy all the same.
    drain:
      protocol === "udp"
        ? { timeoutMs: 5_000, onTimeout: "reset" }
        : { timeoutMs: 30_000, onTimeout: "fail" },
    ...(version > 1 ? { proxy: { module: `proxy/${protocol}.js` } } : {}),
  };
}

const [output] = process.argv.slice(2);
if (output === undefined) {
  console.error("usage: prepare.mjs DIRECTORY");
  process.exit(2);
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
