/** What can go wrong with a program becomes one of our codes. */
import { setTimeout as sleep } from "node:timers/promises";
import t from "tap";
import { requirePrograms, run } from "../../../image/build/command.ts";

t.test("answers standard output", async (t) => {
  t.equal(await run("sh", ["-c", "echo out; echo err >&2"]), "out\n");
  t.equal(await run("sh", ["-c", "exit 3"], { alsoFine: [3] }), "");
});

t.test("a failure ends with what the program said", async (t) => {
  await t.rejects(run("sh", ["-c", "echo why >&2; exit 2"]), {
    code: "E_IMAGE_BUILD",
    message: "sh ended with 2: why",
  });
  await t.rejects(run("sh", ["-c", "kill -9 $$"]), { code: "E_IMAGE_BUILD", message: /SIGKILL/ });
});

t.test("a missing program is told with the command that installs it", async (t) => {
  await t.rejects(run("no-such-program", []), {
    code: "E_IMAGE_BUILD",
    message:
      "no-such-program is not installed; install with: apt-get install -y --no-install-recommends no-such-program",
  });
});

t.test("all missing programs are told at once, by the packages that bring them", async (t) => {
  t.doesNotThrow(() => requirePrograms("sh", "cat"));
  const { PATH } = process.env;
  t.teardown(() => (process.env["PATH"] = PATH));
  process.env["PATH"] = t.testdir({ sh: "" });
  t.throws(() => requirePrograms("sh", "qemu-img", "tune2fs", "flock", "setpriv"), {
    code: "E_IMAGE_BUILD",
    message:
      "qemu-img, tune2fs, flock, setpriv are not installed; install with: apt-get install -y --no-install-recommends qemu-utils e2fsprogs util-linux",
  });
});

t.test("a full disk has its own code", async (t) => {
  const script = "echo 'cp: error writing x: No space left on device' >&2; exit 1";
  await t.rejects(run("sh", ["-c", script]), { code: "E_DISK_FULL" });
});

t.test("aborting ends the program and what it started", async (t) => {
  const aborter = new AbortController();
  const mark = `6${process.pid}.5`;
  const running = run("sh", ["-c", `sleep ${mark} & wait`], { signal: aborter.signal });
  await sleep(200);
  aborter.abort();
  await t.rejects(running, { name: "AbortError" });
  await sleep(100);
  t.equal(await run("pgrep", ["-f", `[s]leep ${mark}`], { alsoFine: [1] }), "");
  await t.rejects(run("true", [], { signal: aborter.signal }), { name: "AbortError" });
});
