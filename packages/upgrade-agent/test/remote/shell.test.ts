/** Words survive the shell. */
import { execFileSync } from "node:child_process";
import * as fc from "fast-check";
import t from "tap";
import { quoteWord, remoteCommand } from "../../remote/shell.ts";
import { codePoint } from "../../../version-router/test/properties/code-point.ts";

t.test("a quoted word is one argument, unchanged", async () => {
  fc.assert(
    fc.property(
      fc.array(
        fc.string({ unit: codePoint }).filter((word) => !word.includes("\0")),
        { maxLength: 20 },
      ),
      (words) => {
        const script = `printf '%s\\0' ${words.map(quoteWord).join(" ")}`;
        const printed = execFileSync("/bin/sh", ["-c", script], { encoding: "utf8" });
        const expected =
          words.length === 0 ? "\0" : words.map((word) => `${Buffer.from(word).toString()}\0`).join("");
        return printed === expected;
      },
    ),
    { numRuns: 50 },
  );
});

t.test("environment, time limit and command", async (t) => {
  t.equal(
    remoteCommand("cd /opt/app && ./run 'x'", {
      env: { VM_NODE: "n1", VM_LABEL: "two words" },
      timeoutMs: 1_500,
      input: "channel",
    }),
    "export VM_NODE=n1; export VM_LABEL='two words'; exec timeout -k 5 1.500 /bin/sh -c 'cd /opt/app && ./run '\\''x'\\'''",
  );
});

t.test("empty input", async (t) => {
  const whole = remoteCommand("cat", { env: {}, timeoutMs: 60_000, input: "empty" });
  t.equal(whole, "exec timeout -k 5 60.000 /bin/sh -c cat </dev/null");
});
