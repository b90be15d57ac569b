/** Writes the table of docs/HYPERVISORS.md from docs/hypervisors/*.json; `scripts/test --record` runs it. */
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { withTable } from "./page.ts";
import { readRecords, RECORDS } from "./record.ts";

const page = join(RECORDS, "../HYPERVISORS.md");
writeFileSync(page, withTable(readFileSync(page, "utf8"), readRecords(RECORDS)));
