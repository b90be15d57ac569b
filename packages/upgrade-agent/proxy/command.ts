/** The command line of a proxy process, and whether its user can read what it needs. */
import { readFileSync, statSync } from "node:fs";
import { createRequire } from "node:module";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import type { Launch } from "@version-manager/app-proxy/host";
import { AgentError } from "../errors.ts";

export interface ProxyUser {
  readonly uid: number;
  readonly gid: number;
}

/** A user made for this, when the system has one; else the one that owns nothing. */
const DEDICATED_USER = "vm-proxy";
const NOBODY: ProxyUser = { uid: 65_534, gid: 65_534 };

/** Undefined when this process is not root, and the proxy runs as its own user. */
export function proxyUser(): ProxyUser | undefined {
  if (process.getuid?.() !== 0) return undefined;
  for (const line of readFileSync("/etc/passwd", "utf8").split("\n")) {
    const [name, , uid, gid] = line.split(":");
    if (name === DEDICATED_USER && Number(uid) > 0) return { uid: Number(uid), gid: Number(gid) };
  }
  return NOBODY;
}

/** Arguments for Node: its permission model lets the process read its own code and the module's directory, no more. */
export function nodeArguments(launch: Launch, memoryMiB: number): string[] {
  const host = fileURLToPath(import.meta.resolve("@version-manager/app-proxy/host"));
  const framework = dirname(dirname(host));
  const parser = dirname(createRequire(host).resolve("http-parser-js"));
  return [
    "--permission",
    ...[framework, parser, dirname(launch.module)].map((directory) => `--allow-fs-read=${directory}/`),
    `--max-old-space-size=${memoryMiB}`,
    join(dirname(host), "main.js"),
    JSON.stringify(launch),
  ];
}

/** Throws E_PROXY when the user may not get at the module. */
export function checkReadable(modulePath: string, user: ProxyUser | undefined): void {
  if (user === undefined) return;
  for (let path = modulePath, need = 0o4; ; path = dirname(path), need = 0o1) {
    let stats;
    try {
      stats = statSync(path);
    } catch (error) {
      throw new AgentError("E_PROXY", `The proxy module ${modulePath} is not there.`, error);
    }
    const shift = stats.uid === user.uid ? 6 : stats.gid === user.gid ? 3 : 0;
    if (((stats.mode >> shift) & need) !== need) {
      const change = need === 0o4 ? "chmod o+r" : "chmod o+x";
      throw new AgentError(
        "E_PROXY",
        `User ${user.uid}, who runs the proxy, cannot read ${path}; ${change} it.`,
      );
    }
    if (path === dirname(path)) return;
  }
}
