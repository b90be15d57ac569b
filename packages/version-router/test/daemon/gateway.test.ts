/** Registration from inside a domain: over HTTP, and by the `vm-register` script with each tool that it can use. */
import { execFile } from "node:child_process";
import { request } from "node:http";
import { existsSync } from "node:fs";
import { mkdtemp, rm, symlink } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import t from "tap";
import type { Test } from "tap";
import { freePort, startNode } from "./harness.ts";
import type { TestNode } from "./harness.ts";

const SCRIPT = join(import.meta.dirname, "../../register/vm-register");
const kv1 = { service: "kv", version: 1 };

function call(
  node: TestNode,
  method: string,
  body?: unknown,
  from = "127.0.1.1",
): Promise<{ status: number; value: unknown }> {
  return new Promise((resolve, reject) => {
    const { serviceAddress: host, gatewayPort: port } = node.config;
    const payload = body === undefined ? "" : JSON.stringify(body);
    const headers = { "content-length": payload.length };
    const options = { host, port, method, path: "/v1/ports", headers, localAddress: from, agent: false };
    const sent = request(options, (response) => {
      let text = "";
      response.on("data", (chunk: Buffer) => (text += chunk.toString()));
      response.on("end", () => resolve({ status: response.statusCode ?? 0, value: JSON.parse(text) }));
    });
    sent.once("error", reject);
    sent.end(payload);
  });
}

t.test("a domain registers, lists and removes its own ports", async (t) => {
  const node = await startNode(t);
  await node.client.attachDomain({ ...kv1, kind: "tap" });
  t.match(await call(node, "POST", { peer: ["tcp/7000"], client: ["tcp/8080"] }), {
    status: 200,
    value: { ...kv1, peer: ["tcp/7000"], client: ["tcp/8080"] },
  });
  t.match(await call(node, "GET"), { status: 200, value: { peer: ["tcp/7000"] } });
  t.same((await call(node, "DELETE", { peer: ["tcp/7000"] })).value, {
    ...kv1,
    peer: [],
    client: ["tcp/8080"],
  });
  t.same((await call(node, "DELETE")).value, { ...kv1, peer: [], client: [] });
});

t.test("who is no domain registers nothing", async (t) => {
  const node = await startNode(t);
  await node.client.attachDomain({ ...kv1, kind: "tap" });
  t.match(await call(node, "POST", { peer: ["tcp/7000"] }, "127.0.0.1"), {
    status: 404,
    value: { code: "E_NO_DOMAIN" },
  });
  t.match(await node.client.status(), { domains: [{ ports: { peer: [], client: [] } }] });
});

t.test("attack: a domain cannot make the daemon hold a large body or too many ports", async (t) => {
  const node = await startNode(t);
  await node.client.attachDomain({ ...kv1, kind: "tap" });
  t.match(await call(node, "POST", { peer: ["x".repeat(5_000)] }), { status: 400 });
  const ports = (from: number, count: number) =>
    Array.from({ length: count }, (_, index) => `tcp/${from + index}`);
  t.match(await call(node, "POST", { peer: ports(5000, 33) }), { status: 400 });
  t.match(await call(node, "POST", { peer: ports(5000, 32) }), { status: 200 });
  t.match(await call(node, "POST", { peer: ["tcp/9999"] }), { status: 400 });
});

interface Outcome {
  readonly code: number;
  readonly out: string;
  readonly err: string;
}

function register(node: TestNode | undefined, words: string[], path?: string): Promise<Outcome> {
  const gateway = node === undefined ? {} : { VM_GATEWAY: `127.0.0.1:${node.config.gatewayPort}` };
  const env = { PATH: path ?? process.env["PATH"], ...gateway };
  return new Promise((resolve) => {
    execFile("/bin/sh", [SCRIPT, ...words], { env }, (error, out, err) =>
      resolve({ code: error === null ? 0 : Number(error.code), out, err }),
    );
  });
}

/** A PATH with these tools only, as in a small image. */
async function toolbox(t: Test, names: readonly string[]): Promise<string> {
  const directory = await mkdtemp(join(tmpdir(), "vmrd-tools-"));
  t.teardown(() => rm(directory, { recursive: true }));
  for (const name of names) {
    const real = [`/bin/${name}`, `/usr/bin/${name}`].find((path) => existsSync(path));
    if (real !== undefined) await symlink(real, join(directory, name));
  }
  return directory;
}

/** The script cannot choose its source address as a domain's link does: so the domain's is the test's own. */
const startDomainsView = (t: Test) => startNode(t, {}, () => "127.0.0.1");

for (const [tool, tools] of [
  ["bash", ["bash", "cat", "sed", "sleep", "timeout"]],
  ["wget", ["wget", "cat", "sed", "sleep"]],
  ["busybox", ["busybox", "cat", "sed", "sleep"]],
] as const) {
  const missing = ["/bin/", "/usr/bin/"].every((directory) => !existsSync(directory + tool));
  t.test(`vm-register with ${tool}`, { skip: missing && `${tool} is not installed` }, async (t) => {
    const path = await toolbox(t, tools);
    const node = await startDomainsView(t);
    await node.client.attachDomain({ ...kv1, kind: "tap" });
    const words = ["peer", "tcp/7000", "peer", "udp/7001", "client", "tcp/8080"];
    t.same(await register(node, words, path), { code: 0, out: "", err: "" });
    t.match(await node.client.status(), {
      domains: [{ ports: { peer: ["tcp/7000", "udp/7001"], client: ["tcp/8080"] } }],
    });
    const listed = await register(node, ["--list"], path);
    t.match(JSON.parse(listed.out), { service: "kv", peer: ["tcp/7000", "udp/7001"] });
    t.same(await register(node, ["--remove", "peer", "udp/7001"], path), { code: 0, out: "", err: "" });
    t.match(JSON.parse((await register(node, ["--list"], path)).out), {
      peer: ["tcp/7000"],
      client: ["tcp/8080"],
    });
    t.same(await register(node, ["--remove"], path), { code: 0, out: "", err: "" });
    t.match(JSON.parse((await register(node, ["--list"], path)).out), { peer: [], client: [] });
    const taken = await register(node, ["client", "tcp/22"], path);
    t.match(taken, { code: 1, err: /E_PORT_TAKEN/ });
    if (tool !== "busybox") t.match(taken.err, /SSH/, "the sentence is shown");
  });
}

t.test("vm-register refuses wrong words without asking anyone", async (t) => {
  for (const words of [
    [],
    ["tcp/80"],
    ["peer"],
    ["peer", "80"],
    ["peer", "tcp/0"],
    ["peer", "tcp/65536"],
    ["peer", "tcp/080"],
    ["client", 'tcp/80","udp/81'],
    ["--wait", "x", "peer", "tcp/80"],
    ["--list", "peer"],
    ["--list", "--remove"],
    ["--remove", "--list"],
    ["--remove", "peer"],
    ["--what"],
  ]) {
    t.match(await register(undefined, words), { code: 2, err: /^vm-register: .*\n$/ }, words.join(" "));
  }
  t.match(await register(undefined, ["--help"]), { code: 0, out: /Usage: vm-register/ });
});

t.test("vm-register says when nobody answers, and when it has no tool to ask with", async (t) => {
  const env = { PATH: process.env["PATH"], VM_GATEWAY: `127.0.0.1:${await freePort()}` };
  const outcome = await new Promise<Outcome>((resolve) => {
    execFile("/bin/sh", [SCRIPT, "--wait", "1", "peer", "tcp/80"], { env }, (error, out, err) =>
      resolve({ code: Number(error?.code), out, err }),
    );
  });
  t.match(outcome, { code: 3, err: /does not answer/ });
  t.match(await register(undefined, ["peer", "tcp/80"], await toolbox(t, ["cat", "sed"])), {
    code: 4,
    err: /wget/,
  });
});

t.test("vm-register waits for a router that restarts", async (t) => {
  const node = await startDomainsView(t);
  await node.client.attachDomain({ ...kv1, kind: "tap" });
  await node.stop();
  const outcome = register(node, ["peer", "tcp/7000"]);
  await new Promise((resolve) => setTimeout(resolve, 300));
  await node.start();
  t.same(await outcome, { code: 0, out: "", err: "" });
});
