/**
 * Services that die, give up and do not listen, in real domains under a real agent: what `vm-upgrade` tells of them, and
 * that versions end in order.
 */
import { chmodSync, mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import t, { type Test } from "tap";
import { kill, residue } from "@version-manager/testbed";
import type { NodeStatus, VersionStatus } from "../../api/contract.ts";
import type { LoggedLine } from "../../journal/said.ts";
import { leftSince, skip } from "./demonstration.ts";
import { busyboxHooks, ImageFleet, page, type WebRelease } from "./images.ts";

/** For anything to come true: an emulated domain on a busy host is slow. */
const patienceMs = 120_000;
const port = 8080;
const program = new URL("../../dist/cli/main.js", import.meta.url).pathname;

/** A page, and one that kills the server when it is asked for. */
function mortal(directory: string, text: string): string {
  const www = page(directory, text);
  mkdirSync(join(www, "cgi-bin"));
  writeFileSync(join(www, "cgi-bin/die"), '#!/bin/sh\nkill -9 "$(cat /run/site.pid)"\n');
  chmodSync(join(www, "cgi-bin/die"), 0o755);
  return www;
}

const server = `echo $$ >/run/site.pid; echo "a life begins"; exec busybox httpd -f -p ${port} -h /opt/app/www`;

class Watched extends ImageFleet {
  readonly name: string;

  constructor(options: ConstructorParameters<typeof ImageFleet>[0]) {
    super(options);
    this.name = options.name;
  }

  async ask<T>(...words: readonly string[]): Promise<T> {
    return JSON.parse(await this.run(1, [process.execPath, program, ...words, "--json"])) as T;
  }

  async version(version: number): Promise<VersionStatus | undefined> {
    return (await this.ask<VersionStatus[]>("versions")).find((row) => row.version === version);
  }

  async said(version: number): Promise<string[]> {
    const lines = await this.ask<LoggedLine[]>("logs", "site", String(version));
    return lines.map(({ source, text }) => `${source}: ${text.trimEnd()}`);
  }

  /** What was said, once `enough` is true of it. */
  async until(version: number, enough: (said: readonly string[]) => boolean): Promise<string[]> {
    const deadline = performance.now() + patienceMs;
    for (;;) {
      const said = await this.said(version);
      if (enough(said)) return said;
      if (performance.now() > deadline) throw new Error(`version ${version} said:\n${said.join("\n")}`);
      await sleep(200);
    }
  }

  async untilVersion(version: number, right: (row: VersionStatus) => boolean): Promise<VersionStatus> {
    const deadline = performance.now() + patienceMs;
    for (;;) {
      const row = await this.version(version);
      if (row !== undefined && right(row)) return row;
      if (performance.now() > deadline) throw new Error(`version ${version} is ${JSON.stringify(row)}`);
      await sleep(200);
    }
  }

  /** Registered with the router; undefined when it knows no such domain. */
  async portsOf(version: number): Promise<readonly string[] | undefined> {
    const { node } = await this.ask<{ readonly node: NodeStatus }>("status");
    return node.router?.domains.find((domain) => domain.version === version)?.ports.client;
  }

  /** The server dies of it, so there is no answer. */
  async letDie(): Promise<void> {
    const [node] = await this.addresses();
    const script = `await fetch("http://${node}:${port}/cgi-bin/die").catch(() => {})`;
    await this.run("client", [process.execPath, "--input-type=module", "-e", script]);
  }

  /** How the domain of a retired version ended. */
  async lastWords(version: number): Promise<string> {
    return this.run(1, ["sh", "-c", `cat /var/log/version-manager/*-site-${version}.console.log`]);
  }
}

function count(said: readonly string[], line: string): number {
  return said.filter((candidate) => candidate === line).length;
}

const life = "app: a life begins";
const killed = "service: was ended by signal 9";

function first(directory: string): WebRelease {
  // Its stop hook does nothing of use, and so it is killed when its time is over.
  const hooks = { ...busyboxHooks("/opt/app/www"), start: server, stop: "echo stopping" };
  const restart = { delayMs: 100 };
  const files = { www: mortal(directory, "first") };
  return { version: 1, files, manifest: { hooks, restart, stopTimeoutMs: 1_000 } };
}

/** Version 1 dies and lives again, and is retired once version 3 runs. */
async function diesAndRetires(t: Test, fleet: Watched, third: WebRelease, whileDead: () => Promise<void>) {
  await fleet.until(1, (said) => count(said, life) === 1);
  await fleet.letDie();
  const said = await fleet.until(1, (lines) => count(lines, life) === 2);
  t.equal(count(said, killed), 1);
  t.ok(said.includes("service: starts again in 0.1 s (restart 1)"));
  await whileDead();
  t.same(await fleet.portsOf(1), [`tcp/${port}`], "restarts keep what is registered");
  // A clock that is off is set, at the latest a minute later.
  const row = await fleet.untilVersion(1, ({ clockOffsetMs = Infinity }) => Math.abs(clockOffsetMs) < 1_000);
  t.match(row, { stage: "running", process: { state: "running", lastExit: "was ended by signal 9" } });

  await fleet.upgrade(third, 300_000);
  await fleet.run(1, [process.execPath, program, "retire", "site", "1", "--key", fleet.keyFile]);
  await fleet.untilVersion(1, ({ stage }) => stage === "retired");
  const last = await fleet.until(1, (lines) => lines.includes("service: was stopped"));
  t.ok(last.includes("app: stopping"), "its stop hook ran");
  t.equal(await fleet.portsOf(1), undefined, "its ports are taken back");
  t.ok(last.includes("service: did not stop in time and is killed"));
  const text = await fleet.lastWords(1);
  t.match(text, /version-manager: powering off/, "its domain shut down in order");
  t.notOk(
    last.some((line) => line.includes("it is destroyed")),
    last.join("\n"),
  );
  t.same(await fleet.pages(), ["third"]);
}

void t.test("in containers", { skip, timeout: 900_000 }, async (t) => {
  const before = await residue();
  const directory = t.testdir();
  const fleet = new Watched({ name: "itnlxc", nodes: 1, directory, hypervisor: "lxc" });
  t.teardown(() => fleet.down());
  await fleet.up();
  await fleet.upgrade(first(directory), 300_000);

  const broken = { start: "echo broken; exit 7", health: "false" };
  const restart = { delayMs: 10, restartsMax: 2 };
  await fleet.seed({ version: 2, manifest: { hooks: broken, restart } });
  const failed = await fleet.untilVersion(2, ({ stage }) => stage === "failed");
  t.match(failed.fault, { code: "E_SERVICE_FAILED", message: /ended with status 7/ });
  const said = await fleet.until(2, (lines) => count(lines, "app: broken") === 3);
  t.equal(count(said, "service: has failed: it ended more often than its policy allows"), 1);
  t.same(await fleet.pages(), ["first"], "clients never noticed");

  const files = { www: mortal(directory, "third") };
  const hooks = { ...busyboxHooks("/opt/app/www"), start: server };
  const third = { version: 3, files, manifest: { hooks, restart: { restartsMax: 0 } } };
  await diesAndRetires(t, fleet, third, async () => {
    await kill({ name: fleet.name, node: 1, what: "agent" });
    await fleet.letDie();
    const lines = await agentBack(() => fleet.until(1, (all) => count(all, life) === 3));
    t.equal(count(lines, killed), 2, "the next agent tells what happened before it was there");
    const row = await fleet.version(1);
    t.equal(row?.process?.restarts, 2);
  });

  await fleet.letDie();
  const sick = await fleet.untilVersion(3, ({ fault }) => fault !== undefined);
  t.match(sick, { stage: "running", fault: { code: "E_SERVICE_FAILED" }, process: { state: "failed" } });
  t.match(await fleet.run(1, [process.execPath, program, "status"]), /its service gave up after 0 restarts/);
  await fleet.run(1, [process.execPath, program, "readmit", "site", "3"]);
  const well = await fleet.untilVersion(3, ({ process: now }) => now?.state === "running");
  t.equal(well.fault, undefined);
  await fleet.down();
  t.same(
    (await leftSince(before)).filter((entry) => entry.includes("itnlxc")),
    [],
    "nothing is left behind",
  );
});

void t.test("in emulated machines", { skip, timeout: 900_000 }, async (t) => {
  const directory = t.testdir();
  const fleet = new Watched({ name: "itnqemu", nodes: 1, directory, hypervisor: "qemu" });
  t.teardown(() => fleet.down());
  await fleet.up();
  await fleet.upgrade(first(directory), 300_000);
  const files = { www: page(directory, "third") };
  const third = { version: 3, files, manifest: { hooks: busyboxHooks("/opt/app/www") } };
  await diesAndRetires(t, fleet, third, () => Promise.resolve());
});

/** The node starts its agent again; until then nobody answers. */
async function agentBack<T>(work: () => Promise<T>): Promise<T> {
  const deadline = performance.now() + patienceMs;
  for (;;) {
    try {
      return await work();
    } catch (error) {
      if (!/E_NO_AGENT|No agent answers/.test((error as Error).message) || performance.now() > deadline)
        throw error;
      await sleep(200);
    }
  }
}
