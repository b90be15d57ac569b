import { readFileSync } from "node:fs";
import { join } from "node:path";
import t from "tap";
import { withTable } from "./page.ts";
import { readRecords, Recorder, RECORDS, writeRecord } from "./record.ts";

const about = {
  hypervisor: "lxc",
  date: "2026-11-21",
  versions: { libvirt: "9.0.0" },
  host: "here",
} as const;

const empty =
  "# Page\n\n<!-- capabilities: written by scripts/test --record -->\n<!-- end capabilities -->\n";

t.test("docs/HYPERVISORS.md is what the records say; scripts/test --record writes it", async (t) => {
  const page = readFileSync(join(RECORDS, "../HYPERVISORS.md"), "utf8");
  t.equal(page, withTable(page, readRecords(RECORDS)));
});

t.test("a failed capability stands there as failed, one that was not tried as not run", async (t) => {
  const recorder = new Recorder();
  recorder.add("kill", { pass: 3, fail: 0 });
  recorder.add("kill", { pass: 1, fail: 1 });
  recorder.add("events", { pass: 0, fail: 0 });
  recorder.add("console", { pass: 2, fail: 0 });
  recorder.notApplicable("disk rate", "libvirt has none");
  recorder.notApplicable("console", "what passed stays passed");
  const page = withTable(empty, [recorder.record(about)]);
  const row = (name: string): string => page.split("\n").find((line) => line.startsWith(`| ${name} `)) ?? "";
  t.match(row("kill"), /FAILED\*\* \(1 of 5\)/);
  t.match(row("events"), /FAILED/, "a test without an assertion");
  t.match(row("console"), /yes/);
  t.match(row("disk rate"), /no \(1\)/);
  t.match(page, "1. libvirt has none");
  t.match(row("memory limit"), /not run/);
  t.equal(withTable(page, [recorder.record(about)]), page, "writing it again changes nothing");
});

t.test("records are read as they were written, and others are refused", async (t) => {
  const directory = t.testdir({ other: { "xen.json": `{"format":1,"hypervisor":"xen","verdict":"fine"}` } });
  const recorder = new Recorder();
  recorder.add("kill", { pass: 1, fail: 0 });
  const record = recorder.record(about);
  writeRecord(join(directory, "records"), record);
  t.same(readRecords(join(directory, "records")), [record]);
  t.throws(() => readRecords(join(directory, "other")));
  t.throws(() => withTable("# Page\n", [record]), RangeError);
});
