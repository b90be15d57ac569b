/** The supervisor itself, on this machine: no root, no domain; its log is in a directory of the test. */
import { execFileSync, spawn, spawnSync, type ChildProcess } from "node:child_process";
import { once } from "node:events";
import { appendFileSync, existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, statSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import t, { type Test } from "tap";
import { supervisorProgram } from "../../service/program.ts";
import { parseRecord, type ServiceRecord } from "../../service/records.ts";

/** For anything to come true: a busy machine is slow. */
const patienceMs = 30_000;
/** Restarts come at once in tests. */
const quick = ["--delay-ms", "20", "--delay-max-ms", "40"];

/** While the log is turned, there is a moment without the newer file. */
function textOf(file: string): string {
  try {
    return readFileSync(file, "latin1");
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "ENOENT") return "";
    throw error;
  }
}

class Supervised {
  readonly directory: string;
  readonly #env: NodeJS.ProcessEnv;

  constructor(t: Test) {
    // Not tap's own directory: that one is gone before the teardown.
    this.directory = mkdtempSync(join(tmpdir(), "itn-"));
    mkdirSync(join(this.directory, "log"));
    this.#env = { ...process.env, VM_SUPERVISE_LOG: join(this.directory, "log"), HERE: this.directory };
    t.teardown(() => {
      this.stop();
      rmSync(this.directory, { recursive: true });
    });
  }

  start(words: readonly string[], command: string, stop?: string): void {
    const input = [command, ...(stop === undefined ? [] : [stop])]
      .map((text) => `${Buffer.from(text).toString("base64")}\n`)
      .join("");
    const all = ["start", "--directory", this.directory, ...words];
    execFileSync("busybox", ["sh", supervisorProgram, ...all], {
      input,
      env: this.#env,
      stdio: ["pipe", "ignore", "ignore"],
    });
  }

  stop(): void {
    execFileSync("busybox", ["sh", supervisorProgram, "stop"], { env: this.#env, timeout: patienceMs });
  }

  follow(after: number): ChildProcess {
    return spawn("busybox", ["sh", supervisorProgram, "follow", String(after)], {
      env: this.#env,
      stdio: ["ignore", "pipe", "inherit"],
    });
  }

  /** Of both files, as they are now. */
  records(): ServiceRecord[] {
    const text = ["service.log.1", "service.log"].map((name) => textOf(join(this.directory, "log", name)));
    return text
      .join("")
      .split("\n")
      .map(parseRecord)
      .filter((record) => record !== undefined);
  }

  told(): string[] {
    return this.records().map(({ kind, text }) => (kind === "started" ? kind : `${kind} ${text}`.trim()));
  }

  async until(what: string, count = 1): Promise<void> {
    const deadline = performance.now() + patienceMs;
    while (this.told().filter((line) => line === what).length < count) {
      if (performance.now() > deadline) throw new Error(`no "${what}" in ${this.told().join("; ")}`);
      await sleep(10);
    }
  }
}

t.test("a service that fails is started again, and has failed when its restarts are used up", async (t) => {
  const it = new Supervised(t);
  it.start([...quick, "--restarts-max", "2"], "echo out; echo err >&2; exit 3");
  await it.until("failed");
  const told = it.told().filter((line) => !/put/.test(line));
  const life = ["started", "exited status 3"];
  t.same(told, [...life, "restarting 20 1", ...life, "restarting 40 2", ...life, "failed"]);
  t.equal(it.told().filter((line) => line === "output out").length, 3);
  t.equal(it.told().filter((line) => line === "error-output err").length, 3);
  t.same(
    it.records().map(({ number }) => number),
    it.records().map((_, index) => index + 1),
    "lines are numbered",
  );
});

t.test("one that was killed runs again, and nothing of its first life holds on", async (t) => {
  const it = new Supervised(t);
  it.start(quick, 'sleep 300 & echo "$!" >"$HERE/child"; echo "$$" >"$HERE/pid"; echo ready; wait');
  await it.until("output ready");
  const child = readFileSync(join(it.directory, "child"), "utf8").trim();
  process.kill(Number(readFileSync(join(it.directory, "pid"), "utf8")), "SIGKILL");
  await it.until("output ready", 2);
  t.match(it.told(), ["started", "output ready", "exited signal 9", "restarting 20 1", "started"]);
  // A process that nobody has collected yet has no program any more.
  t.notOk(existsSync(`/proc/${child}/exe`), "what it had started is gone");
});

t.test("one that ends well is left alone, or not, as the policy says", async (t) => {
  const it = new Supervised(t);
  it.start(["--restart", "on-failure"], "true");
  await it.until("ended");
  it.start([...quick, "--restart", "always", "--restarts-max", "1"], "true");
  await it.until("failed");
  const life = ["started", "exited status 0"];
  t.same(it.told(), [...life, "ended", ...life, "restarting 20 1", ...life, "failed"]);
  t.same(it.records().at(-1)?.number, 9, "numbers go on in the next life of the supervisor");
});

t.test("a start that leaves its service in the background is one that runs", async (t) => {
  const it = new Supervised(t);
  it.start([], "(sleep 300; true) & sleep 0.1; echo left");
  await it.until("exited status 0");
  await sleep(200);
  t.notOk(it.told().includes("ended"));
  it.stop();
  t.equal(it.told().at(-1), "stopped");
});

t.test("it stops by SIGTERM", async (t) => {
  const it = new Supervised(t);
  it.start([], 'exec 2>/dev/null; trap "echo bye; exit 0" TERM; echo ready; while :; do sleep 0.05; done');
  await it.until("output ready");
  it.stop();
  t.same(it.told(), ["started", "output ready", "output bye", "exited status 0", "stopped"]);
  it.stop();
  t.equal(it.records().length, 5, "stopping what is stopped does nothing");
});

t.test("one that does not listen is killed when its time is over, with all that it started", async (t) => {
  const it = new Supervised(t);
  it.start(
    ["--stop-ms", "300"],
    'exec 2>/dev/null; trap "" TERM; (setsid sleep 300 &); echo ready; while :; do sleep 0.05; done',
  );
  await it.until("output ready");
  it.stop();
  t.same(it.told(), ["started", "output ready", "killed", "exited signal 9", "stopped"]);
});

t.test("its stop hook ends it; a hook that fails is followed by SIGTERM", async (t) => {
  const it = new Supervised(t);
  const service =
    'exec 2>/dev/null; echo $$ >"$HERE/pid"; trap "echo by hook; exit 0" USR1; trap "echo by signal; exit 0" TERM; echo ready; while :; do sleep 0.05; done';
  it.start([], service, 'echo asking; kill -USR1 "$(cat "$HERE/pid")"');
  await it.until("output ready");
  it.stop();
  t.same(it.told().slice(2), ["output asking", "output by hook", "exited status 0", "stopped"]);
  it.start([], service, "exit 1");
  await it.until("output ready", 2);
  it.stop();
  t.same(it.told().slice(-3), ["output by signal", "exited status 0", "stopped"]);
});

t.test("a second start finds the first one", async (t) => {
  const it = new Supervised(t);
  it.start([], "echo first; exec sleep 300");
  await it.until("output first");
  it.start([], "echo second");
  await sleep(200);
  t.notOk(it.told().includes("output second"));
});

t.test("the service of a supervisor that was killed is ended before the next one's begins", async (t) => {
  const it = new Supervised(t);
  it.start([], 'echo "$$" >"$HERE/pid"; echo first; exec sleep 300');
  await it.until("output first");
  const pid = readFileSync(join(it.directory, "pid"), "utf8").trim();
  process.kill(Number(readFileSync(join(it.directory, "log/supervisor/pid"), "utf8")), "SIGKILL");
  t.ok(existsSync(`/proc/${pid}/exe`));
  it.start([], `[ -e /proc/${pid}/exe ] && echo both; echo second; exec sleep 300`);
  await it.until("output second");
  t.notOk(it.told().includes("output both"));
  it.stop();
  const left = (): string => spawnSync("pgrep", ["-f", it.directory], { encoding: "utf8" }).stdout;
  for (let waited = 0; left() !== "" && waited < patienceMs; waited += 20) await sleep(20);
  t.equal(left(), "", "and nothing of either is left");
});

t.test("the log is bounded, and a reader goes on where it was", async (t) => {
  const it = new Supervised(t);
  it.start(
    [],
    "seq -f 'line %.0f of very many, so that it fills the log soon' 1 8000; echo done; exec sleep 300",
  );
  await it.until("output done");
  for (const name of ["service.log", "service.log.1"])
    t.ok(statSync(join(it.directory, "log", name)).size <= 256 * 1024, name);
  const last = it.records().at(-1)?.number ?? 0;
  t.equal(last, 8_002);
  const reader = it.follow(last - 5);
  let heard = "";
  reader.stdout?.on("data", (chunk: Buffer) => (heard += chunk.toString()));
  const lines = () => heard.split("\n").slice(0, -1);
  for (let waited = 0; lines().length < 5 && waited < patienceMs; waited += 20) await sleep(20);
  t.same(
    lines().map((line) => parseRecord(line)?.number),
    [last - 4, last - 3, last - 2, last - 1, last],
  );
  it.stop();
  for (let waited = 0; lines().length < 7 && waited < patienceMs; waited += 20) await sleep(20);
  t.match(lines().at(-1), / t $/, "and hears what is added");
  reader.stdout?.destroy();
  await once(reader, "close");
  t.pass("it ends when nobody reads it");
});

t.test("a reader of a log that is no more hears all of the new one", async (t) => {
  const it = new Supervised(t);
  it.start([], "echo new; exec sleep 300");
  await it.until("output new");
  const reader = it.follow(5_000);
  const [chunk] = (await once(reader.stdout as NonNullable<typeof reader.stdout>, "data")) as [Buffer];
  t.match(chunk.toString(), /^1 \d+ s /);
  reader.stdout?.destroy();
  await once(reader, "close");
});

t.test("a line that a crash cut off does not spoil the next one", async (t) => {
  const it = new Supervised(t);
  appendFileSync(join(it.directory, "log/service.log"), "41 5 o whole\n42 5 o cut of");
  it.start([], "true");
  await it.until("ended");
  const numbers = it.records().map(({ number }) => number);
  t.same(numbers, [41, 42, 43, 44, 45]);
  t.match(it.told(), ["output whole", "output cut of", "started", "exited status 0", "ended"]);
});

t.test("long lines come in pieces, and a last line without an end comes too", async (t) => {
  const it = new Supervised(t);
  it.start([], "head -c 5000 /dev/zero | tr '\\0' x; printf '\\n\\nend'");
  await it.until("ended");
  const lengths = it
    .records()
    .filter(({ kind }) => kind === "output")
    .map(({ text }) => text.length);
  t.same(lengths, [4_000, 1_000, 0, 3]);
});
