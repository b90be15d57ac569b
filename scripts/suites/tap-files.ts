/**
 * Runs test files side by side, each in a process of its own, and prints TAP: `tap-files.js JOBS TIMEOUT_S FILE...`
 *
 * `tap run` does that too, but makes every Node process that a test starts load instrumentation for coverage and mocks,
 * which takes longer than most of the files do, and which nothing here uses.
 */
import { fileURLToPath } from "node:url";
import t from "tap";

const [jobs = "1", timeoutS = "30", ...files] = process.argv.slice(2);
const seed = import.meta.resolve("./property-seed.js");
/** What Node compiled for one file serves the next; entries are checked by their source. */
const compiled = fileURLToPath(new URL("../../../node_modules/.cache/node-compile", import.meta.url));
const env = { ...process.env, TAP_TIMEOUT: timeoutS, NODE_COMPILE_CACHE: compiled };

t.setTimeout(0);
t.jobs = Number(jobs);
for (const file of files)
  // tap puts its instrumentation into NODE_OPTIONS, whatever `env` says.
  void t.spawn("env", ["-u", "NODE_OPTIONS", process.execPath, `--import=${seed}`, file], {
    name: file,
    buffered: t.jobs > 1,
    timeout: Number(timeoutS) * 1_000,
    env,
    // A failure is at a line of the file, not at one of this.
    at: null,
    stack: "",
  });
