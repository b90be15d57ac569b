/** `scripts/test`: runs the suites one after the other and sums them up in one last line. */
import { parseArgs } from "node:util";
import { runCheck, runTap, type Count } from "./run.ts";
import { findFiles, suites, type Suite } from "./suites.ts";

const help = `scripts/test [--only NAME] [--cases N] [--list]

Suites, in this order:
${suites.map((suite) => `  ${suite.name.padEnd(14)}${suite.describe}`).join("\n")}

--only NAME   one suite, or every test file whose path contains NAME
--cases N     random cases of the tests that count them (router-differential: 1,000,000)
--list        print the test files and run nothing`;

async function runSuite(suite: Suite): Promise<Count> {
  process.stdout.write(`\n== ${suite.name}: ${suite.describe}\n`);
  if (suite.kind === "check") return runCheck(suite.command);
  return runTap(findFiles(suite.ending), suite);
}

async function runMatching(name: string): Promise<Count> {
  const tap = suites.filter((suite) => suite.kind === "tap");
  const total: Count = { passed: 0, failed: 0, skipped: 0 };
  for (const suite of tap) {
    const files = findFiles(suite.ending).filter((file) => file.includes(name));
    if (files.length > 0) add(total, await runTap(files, suite));
  }
  return total;
}

function add(total: Count, count: Count): void {
  total.passed += count.passed;
  total.failed += count.failed;
  total.skipped += count.skipped;
}

async function main(): Promise<void> {
  const { values } = parseArgs({
    options: {
      only: { type: "string" },
      cases: { type: "string" },
      list: { type: "boolean" },
      help: { type: "boolean" },
    },
  });
  if (values.help === true) {
    process.stdout.write(`${help}\n`);
    return;
  }
  if (values.cases !== undefined) process.env["CASES"] = values.cases;
  if (values.list === true) {
    const tap = suites.filter((suite) => suite.kind === "tap");
    process.stdout.write(`${tap.flatMap((suite) => findFiles(suite.ending)).join("\n")}\n`);
    return;
  }
  const total: Count = { passed: 0, failed: 0, skipped: 0 };
  const chosen = suites.filter((suite) => values.only === undefined || suite.name === values.only);
  for (const suite of chosen) add(total, await runSuite(suite));
  if (values.only !== undefined && chosen.length === 0) add(total, await runMatching(values.only));
  if (total.passed + total.failed === 0) {
    process.stderr.write("No test ran: nothing has that name. See scripts/test --list.\n");
    total.failed += 1;
  }
  process.stdout.write(`\n${total.passed} passed, ${total.failed} failed, ${total.skipped} skipped\n`);
  process.exitCode = total.failed === 0 ? 0 : 1;
}

await main();
