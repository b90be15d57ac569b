/** The command line of `vm-router`, as far as it goes without root. */
import { execFile } from "node:child_process";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import t from "tap";

const MAIN = join(import.meta.dirname, "../../daemon/main.ts");

function router(...words: string[]): Promise<{ code: number; out: string; err: string }> {
  return new Promise((resolve) => {
    execFile(process.execPath, [MAIN, ...words], (error, out, err) =>
      resolve({ code: error === null ? 0 : Number(error.code), out, err }),
    );
  });
}

t.test("--help explains itself, with examples", async (t) => {
  t.match(await router("--help"), { code: 0, out: /vm-router --destroy/, err: "" });
});

t.test("wrong usage is status 2, in one line with a code", async (t) => {
  for (const words of [["--what"], ["start"], ["--check", "--destroy"]]) {
    t.match(
      await router(...words),
      { code: 2, out: "", err: /^vm-router: E_BAD_REQUEST: .*\n$/ },
      words.join(" "),
    );
  }
});

t.test("a wrong configuration is status 2, with every fault", async (t) => {
  const directory = await mkdtemp(join(tmpdir(), "vmrd-main-"));
  t.teardown(() => rm(directory, { recursive: true }));
  const file = join(directory, "router.json");
  t.match(await router("--config", file), { code: 2, err: /^vm-router: E_BAD_REQUEST: .*--config/ });
  await writeFile(file, '{"uplink":7,"service":"10.77.0.1"}');
  t.match(await router("--config", file), { code: 2, err: /uplink.*serviceAddress.*service/ });
});

t.test("--check answers for people and for programs", async (t) => {
  const probe = await router("--check", "--json");
  const { ok } = JSON.parse(probe.out) as { ok: boolean };
  t.equal(probe.code, ok ? 0 : 1);
  t.match(await router("--check"), { code: probe.code, out: ok ? /can carry/ : /missing for the .*mend it/ });
});
