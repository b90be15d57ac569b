/** `scripts/test`: runs the suites one after the other and sums them up in one last line. */
import { parseArgs } from "node:util";
import { runCheck, runTap, type Count } from "./run.ts";
import { chooseSeed } from "./seed.ts";
import { findFiles, suites, type Suite } from "./suites.ts";

const help = `scripts/test [--only NAME] [--cases N | --full] [--seed N | --seed random] [--record] [--list]

Suites, in this order:
${suites.map((suite) => `  ${suite.name.padEnd(14)}${suite.describe}`).join("\n")}

An integration test that fails is tried once more, alone; one that passes then is named as FLAKY.

--only NAME   one suite, or every test file whose path contains NAME
--cases N     with --only: how many cases the tests that count them try (a whole number from 1; passed on as CASES).
              router-differential: packets, else 1,000,000; about 25,000 a second
--full        the sizes that are promised, where CI runs smaller ones (passed on as FULL=1). router-differential:
              10,000,000 packets, minutes; router-isolation: 10,000 connections and 1,000,000 datagrams, minutes; of the
              unit suite the slowest properties and the comparison (real-host) with two to three times the cases
--seed N      the random cases that properties try: 0 to 2147483647, or "random". Else the commit chooses, so that two
              runs of one commit try the same ones
--record      what the compliance suite finds of each hypervisor goes to docs/hypervisors, and the table of
              docs/HYPERVISORS.md is written anew
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

/** A sentence about options that do not go together, or undefined. */
function whatIsWrong(values: { only?: string; cases?: string; full?: boolean }): string | undefined {
  if (values.cases === undefined) return undefined;
  if (!/^[1-9]\d{0,11}$/.test(values.cases)) return "--cases wants a whole number from 1.";
  // A number that is little for one test is a lot for another.
  if (values.only === undefined) return "--cases is for one test: name it by --only.";
  return values.full === true ? "--cases and --full both choose a size." : undefined;
}

async function main(): Promise<void> {
  const { values } = parseArgs({
    options: {
      only: { type: "string" },
      cases: { type: "string" },
      full: { type: "boolean" },
      seed: { type: "string" },
      record: { type: "boolean" },
      list: { type: "boolean" },
      help: { type: "boolean" },
    },
  });
  if (values.help === true) {
    process.stdout.write(`${help}\n`);
    return;
  }
  const wrong = whatIsWrong(values);
  if (wrong !== undefined) {
    process.stderr.write(`scripts/test: ${wrong} See scripts/test --help.\n`);
    process.exitCode = 2;
    return;
  }
  const seed = chooseSeed(values.seed);
  if (seed === undefined) {
    process.stderr.write(`scripts/test: --seed wants a whole number up to 2147483647, or "random".\n`);
    process.exitCode = 2;
    return;
  }
  process.env["PROPERTY_SEED"] = String(seed);
  if (values.cases !== undefined) process.env["CASES"] = values.cases;
  if (values.full === true) process.env["FULL"] = "1";
  if (values.record === true) process.env["COMPLIANCE_RECORDS"] = `${process.cwd()}/docs/hypervisors`;
  if (values.list === true) {
    const tap = suites.filter((suite) => suite.kind === "tap");
    process.stdout.write(`${tap.flatMap((suite) => findFiles(suite.ending)).join("\n")}\n`);
    return;
  }
  process.stdout.write(`Properties draw their cases from seed ${seed} (--seed ${seed} repeats them).\n`);
  const total: Count = { passed: 0, failed: 0, skipped: 0 };
  const chosen = suites.filter((suite) =>
    values.only === undefined
      ? suite.kind === "check" || suite.onDemand !== true
      : suite.name === values.only,
  );
  for (const suite of chosen) add(total, await runSuite(suite));
  if (values.only !== undefined && chosen.length === 0) add(total, await runMatching(values.only));
  if (values.record === true)
    add(total, await runCheck(["node", "packages/upgrade-agent/test/domain/capabilities/main.ts"]));
  if (total.passed + total.failed === 0) {
    process.stderr.write("No test ran: nothing has that name. See scripts/test --list.\n");
    total.failed += 1;
  }
  process.stdout.write(`\n${total.passed} passed, ${total.failed} failed, ${total.skipped} skipped\n`);
  process.exitCode = total.failed === 0 ? 0 : 1;
}

await main();
