/** `vm-upgrade image …` as somebody types it: answers on standard output, progress and errors beside it, exit statuses. */
import { spawnSync } from "node:child_process";
import { existsSync, mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import t from "tap";

const program = new URL("../../dist/cli/main.js", import.meta.url).pathname;
const skip =
  process.getuid?.() !== 0 ? "needs root" : existsSync(program) ? false : "needs a build: npm run build";

function image(cache: string, ...words: string[]) {
  const { status, stdout, stderr } = spawnSync(
    process.execPath,
    [program, "image", ...words, "--cache", cache, "--json"],
    { encoding: "utf8" },
  );
  const error = /^\{"error":\{"code":"(\w+)"/m.exec(stderr)?.[1];
  return { status, answer: stdout === "" ? undefined : (JSON.parse(stdout) as unknown), error };
}

t.test("what is typed and what is answered", { skip, timeout: 120_000 }, async (t) => {
  const cache = join(t.testdir(), "images");
  t.same(image(cache, "list"), { status: 0, answer: [], error: undefined }, "before there is anything");
  t.match(image(cache, "prune"), { status: 0, answer: { removed: [], freedBytes: 0 } });
  t.match(image(cache, "inspect", "abc123"), { status: 4, error: "E_NO_IMAGE" });
  t.match(image(cache, "inspect", "../etc"), { status: 2, error: "E_USAGE" });
  t.match(image(cache, "import", join(cache, "nowhere")), { status: 2, error: "E_IMAGE_FORMAT" });
  t.match(image(cache, "import", program, "--sha256", "short"), { status: 2, error: "E_USAGE" });
  t.match(image(cache, "import", program, "--sha256", "0".repeat(64)), {
    status: 4,
    error: "E_IMAGE_ALTERED",
  });
  t.match(image(cache, "prune", "--keep-mib", "-1"), { status: 2, error: "E_USAGE" });
  t.match(image(cache), { status: 2, error: "E_USAGE" });

  const digest = "ab".repeat(32);
  mkdirSync(join(cache, digest));
  const info = {
    kind: "root",
    bytes: 5,
    builtAtMs: 7,
    source: "kv.oci",
    format: "oci-archive",
    command: ["/run"],
  };
  writeFileSync(join(cache, digest, "image.json"), JSON.stringify(info));
  t.match(image(cache, "list"), { status: 0, answer: [{ digest, kind: "root", uses: [] }] });
  t.match(image(cache, "inspect", "abab"), {
    status: 0,
    answer: { digest, command: ["/run"], format: "oci-archive" },
  });
  t.match(image(cache, "prune", "--older-than-hours", "1000000"), { answer: { kept: [{ why: "young" }] } });
  t.match(image(cache, "prune", "--dry-run"), { answer: { removed: [{ digest }], freedBytes: 5 } });
  t.ok(existsSync(join(cache, digest)));
  t.match(image(cache, "prune"), { status: 0, answer: { removed: [{ digest }] } });
  t.notOk(existsSync(join(cache, digest)));
});
