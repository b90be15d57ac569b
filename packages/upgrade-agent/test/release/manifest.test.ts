import { readFile } from "node:fs/promises";
import * as fc from "fast-check";
import t from "tap";
import { AgentError } from "../../errors.ts";
import { canonicalJson } from "../../trust/index.ts";
import { checkManifest, MANIFEST_BYTES_MAX, parseManifest } from "../../release/index.ts";
import { manifestSource } from "./fixture.ts";
import { codePoint } from "../../../version-router/test/properties/code-point.ts";

/** The faults that a value is refused with, one per line of the message. */
function faultsOf(value: unknown): string[] {
  try {
    checkManifest(value);
    return [];
  } catch (error) {
    if (!(error instanceof AgentError) || error.code !== "E_MANIFEST") throw error;
    return error.message
      .split("\n")
      .slice(1)
      .map((line) => line.trim());
  }
}

const pathsOf = (value: unknown) => faultsOf(value).map((fault) => fault.split(": ")[0]);

t.test("every default is filled in", async (t) => {
  t.same(parseManifest(JSON.stringify(manifestSource)), {
    ...manifestSource,
    memoryMiB: 256,
    vcpus: 1,
    ports: { peer: [], client: [] },
    hooks: {
      start: { command: "node index.js", timeoutMs: 60_000 },
      health: { command: "true", timeoutMs: 60_000 },
    },
    health: { intervalMs: 1_000, successes: 3, deadlineMs: 120_000 },
    drain: { timeoutMs: 30_000, onTimeout: "reset" },
  });
});

t.test("a hook is a string or an object", async (t) => {
  const { hooks } = checkManifest({
    ...manifestSource,
    hooks: { start: "a", health: { command: "b" }, migrate: { command: "c", timeoutMs: 1_000 } },
  });
  t.same(hooks.start, { command: "a", timeoutMs: 60_000 });
  t.same(hooks.health, { command: "b", timeoutMs: 60_000 });
  t.same(hooks.migrate, { command: "c", timeoutMs: 1_000 });
  t.notOk("install" in hooks, "a hook that is not named is absent, not undefined");
});

t.test("peers without Version Manager are allowed or denied, in these words", async (t) => {
  t.equal(checkManifest({ ...manifestSource, unmanagedPeers: "allow" }).unmanagedPeers, "allow");
  t.notOk("unmanagedPeers" in checkManifest(manifestSource), "what is not said is not signed");
  t.same(pathsOf({ ...manifestSource, unmanagedPeers: true }), ["unmanagedPeers"]);
});

t.test("a restart policy is a word or an object, and only what is said is signed", async (t) => {
  t.same(checkManifest({ ...manifestSource, restart: "always" }).restart, { policy: "always" });
  const restart = { policy: "on-failure", delayMs: 500, delayMaxMs: 5_000, windowMs: 60_000, restartsMax: 3 };
  const parsed = checkManifest({ ...manifestSource, restart, stopTimeoutMs: 2_000 });
  t.same(parsed.restart, restart);
  t.equal(canonicalJson(checkManifest(parsed)), canonicalJson(parsed));
  t.notOk("restart" in checkManifest(manifestSource));
  t.notOk("stopTimeoutMs" in checkManifest(manifestSource));
  t.same(pathsOf({ ...manifestSource, restart: "sometimes", stopTimeoutMs: 1 }), [
    "restart.policy",
    "stopTimeoutMs",
  ]);
  t.same(pathsOf({ ...manifestSource, restart: { delayMs: 9_000, delayMaxMs: 8_000 } }), ["restart"]);
  t.same(pathsOf({ ...manifestSource, restart: { restartsMax: 101, tries: 1 } }), [
    "restart.restartsMax",
    "restart.tries",
  ]);
});

t.test("what is parsed once is parsed to the same again, so that it can be signed", async (t) => {
  const parsed = checkManifest({ ...manifestSource, proxy: { module: "proxy/index.js" } });
  t.equal(canonicalJson(checkManifest(parsed)), canonicalJson(parsed));
  const compare = { differencesPerMillionMax: 1_000 };
  const gated = checkManifest({ ...manifestSource, proxy: { module: "proxy/index.js", compare } });
  t.same(gated.proxy?.compare, { ...compare, requestsMin: 1_000, confidencePercent: 95 });
  t.equal(canonicalJson(checkManifest(gated)), canonicalJson(gated));
});

t.test("every sort of image can be named, and signed", async (t) => {
  const digest = "0123456789abcdef".repeat(4);
  for (const image of [
    { base: "newest" },
    { base: digest },
    { import: digest },
    { root: "rootfs" },
    { root: "images/rootfs.tar.gz", kernel: "boot/vmlinuz", initramfs: "boot/initrd.img" },
    { oci: "kv.oci" },
  ]) {
    const parsed = checkManifest({ ...manifestSource, image });
    t.same(parsed.image, image);
    t.equal(canonicalJson(checkManifest(parsed)), canonicalJson(parsed));
  }
});

t.test("the examples of this repository are releases", async (t) => {
  for (const version of ["v1", "v2"]) {
    const file = new URL(`../../../../examples/moleculer/${version}/version.json`, import.meta.url);
    t.equal(parseManifest(await readFile(file)).service, "kv");
  }
});

t.test("the example in docs/MANIFEST.md is a manifest, and the tables there name every field", async (t) => {
  const docs = await readFile(new URL("../../../../docs/MANIFEST.md", import.meta.url), "utf8");
  const example = /```json\n([^`]+)```/u.exec(docs)?.[1] ?? "";
  const parsed = parseManifest(example);
  for (const field of fieldsOf(parsed)) t.ok(docs.includes(`| \`${field}\``), `${field} is documented`);
});

function fieldsOf(value: object, prefix = ""): string[] {
  return Object.entries(value).flatMap(([key, item]: [string, unknown]) => {
    const isGroup = typeof item === "object" && item !== null && !Array.isArray(item) && !("command" in item);
    return isGroup ? fieldsOf(item, `${prefix}${key}.`) : [`${prefix}${key}`];
  });
}

t.test("all faults are reported at once", async (t) => {
  const faulty = {
    manifest: 2,
    service: "KV",
    version: 0,
    memoryMiB: 1.5,
    colour: "blue",
    ports: { peer: ["tcp/0", "udp/70000"], client: "tcp/80", other: [] },
    hooks: { start: "", health: { command: "x", timeout: 5 }, lunch: "x" },
    health: { intervalMs: "1s" },
    drain: { onTimeout: "wait" },
    proxy: { module: "../proxy.js" },
  };
  t.same(pathsOf(faulty).toSorted(), [
    "colour",
    "drain.onTimeout",
    "health.intervalMs",
    "hooks.health.timeout",
    "hooks.lunch",
    "hooks.start.command",
    "label",
    "manifest",
    "memoryMiB",
    "ports.client",
    "ports.other",
    "ports.peer[0]",
    "ports.peer[1]",
    "proxy.module",
    "service",
    "version",
  ]);
  t.ok(faultsOf(faulty).includes("label: is missing"));
  t.ok(faultsOf(faulty).includes("colour: unknown key"));
});

const faults: readonly (readonly [what: string, change: object, path: string])[] = [
  ["no network at all", { networkMbitPerS: 0 }, "networkMbitPerS"],
  ["half a megabit", { networkMbitPerS: 0.5 }, "networkMbitPerS"],
  ["a rate beyond any link's", { networkMbitPerS: 100_001 }, "networkMbitPerS"],
  ["a version beyond 28 bits", { version: 2 ** 28 }, "version"],
  ["a label that is a path", { label: "../2" }, "label"],
  ["a label beyond 64 characters", { label: "1".repeat(65) }, "label"],
  ["a service beyond 32 characters", { service: "a".repeat(33) }, "service"],
  ["a port named twice", { ports: { peer: ["tcp/80"], client: ["tcp/80"] } }, "ports"],
  [
    "more ports than allowed",
    { ports: { peer: Array.from({ length: 33 }, (_, at) => `tcp/${at + 1}`) } },
    "ports.peer",
  ],
  ["health that can never be reached", { health: { intervalMs: 60_000, successes: 3 } }, "health"],
  ["a command with NUL", { hooks: { start: "a\0b", health: "x" } }, "hooks.start.command"],
  [
    "a command with half of a surrogate pair",
    { hooks: { start: "\ud800", health: "x" } },
    "hooks.start.command",
  ],
  [
    "a rate of differences that is a fraction",
    { proxy: { module: "p.js", compare: { differencesPerMillionMax: 1.5 } } },
    "proxy.compare.differencesPerMillionMax",
  ],
  [
    "a comparison that can never be sure enough",
    { proxy: { module: "p.js", compare: { differencesPerMillionMax: 0, confidencePercent: 100 } } },
    "proxy.compare.confidencePercent",
  ],
  ["a proxy module that is absolute", { proxy: { module: "/etc/passwd.js" } }, "proxy.module"],
  ["a proxy module that is no module", { proxy: { module: "proxy.sh" } }, "proxy.module"],
  ["an image that is nothing", { image: {} }, "image"],
  ["an image that is two things", { image: { oci: "a.tar", base: "newest" } }, "image"],
  ["a kernel without its initramfs", { image: { oci: "a.tar", kernel: "vmlinuz" } }, "image"],
  ["an image whose path climbs", { image: { root: "../root.tar" } }, "image.root"],
  ["an image whose path is absolute", { image: { oci: "/root.tar" } }, "image.oci"],
  ["a digest that is none", { image: { import: "SHA256" } }, "image.import"],
  ["a base that is neither newest nor a digest", { image: { base: "oldest" } }, "image.base"],
  ["a proxy module in a hidden directory", { proxy: { module: ".git/hook.js" } }, "proxy.module"],
];

for (const [what, change, path] of faults) {
  t.test(`refuses ${what}`, async (t) => t.same(pathsOf({ ...manifestSource, ...change }), [path]));
}

t.test("refuses what is no object, no JSON, not UTF-8, too large", async (t) => {
  const code = { code: "E_MANIFEST" };
  for (const source of ["", "{", "null", "[]", '"x"', "1", new Uint8Array([0x22, 0xff, 0x22])]) {
    t.throws(() => parseManifest(source), code);
  }
  t.throws(
    () => parseManifest(JSON.stringify({ ...manifestSource, pad: "x".repeat(MANIFEST_BYTES_MAX) })),
    code,
  );
});

t.test("a manifest made to be faulty gives a short answer that is safe to print", async (t) => {
  const hostile = Object.fromEntries(
    Array.from({ length: 500 }, (_, at) => [`\u001b[2J\u202e${"x".repeat(300)}${at}`, 1]),
  );
  t.throws(() => checkManifest(hostile), { code: "E_MANIFEST" });
  const lines = faultsOf(hostile);
  t.ok(lines.length <= 41, `${lines.length} lines`);
  t.ok(lines.every((line) => line.length < 200 && !/[\p{Cc}\p{Cf}]/u.test(line)));
});

t.test("__proto__ is an unknown key like others", async (t) => {
  const source = JSON.stringify(manifestSource).replace("{", '{"__proto__":{"vcpus":64},');
  t.throws(() => parseManifest(source), { code: "E_MANIFEST" });
  t.equal(({} as { vcpus?: number }).vcpus, undefined);
});

t.test("nothing but E_MANIFEST is ever thrown, whatever comes", async () => {
  const never = (work: () => unknown) => {
    try {
      work();
      return true;
    } catch (error) {
      return error instanceof AgentError && error.code === "E_MANIFEST" && error.message.length < 10_000;
    }
  };
  fc.assert(
    fc.property(fc.anything({ withNullPrototype: true, withMap: true, withBigInt: true }), (value) =>
      never(() => checkManifest(value)),
    ),
  );
  fc.assert(fc.property(fc.json(), (json) => never(() => parseManifest(json))));
  fc.assert(fc.property(fc.uint8Array(), (bytes) => never(() => parseManifest(bytes))));
  const bent = fc.record({
    at: fc.constantFrom(...Object.keys(checkManifest(manifestSource)), "proxy", "image"),
    value: fc.anything(),
  });
  fc.assert(
    fc.property(bent, ({ at, value }) => never(() => checkManifest({ ...manifestSource, [at]: value }))),
  );
});

t.test("what is accepted can always be signed", async () => {
  const hook = fc.oneof(
    fc.string({ unit: codePoint, minLength: 1 }),
    fc.record({ command: fc.string({ minLength: 1 }) }),
  );
  const hooks = fc.record({ start: hook, health: hook, stop: hook }, { requiredKeys: ["start", "health"] });
  fc.assert(
    fc.property(hooks, fc.nat(300), (hooks, memoryMiB) => {
      let parsed: unknown;
      try {
        parsed = checkManifest({ ...manifestSource, hooks, memoryMiB });
      } catch {
        return true;
      }
      return canonicalJson(checkManifest(JSON.parse(canonicalJson(parsed)))) === canonicalJson(parsed);
    }),
  );
});
