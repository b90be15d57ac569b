import { appendFileSync, readFileSync } from "node:fs";
import { join } from "node:path";
import t from "tap";
import {
  load,
  RELEASES,
  type Item,
  type LogModule,
  type Release,
  type StoreModule,
} from "./release-modules.ts";

async function modules(release: Release) {
  const { Store } = await load<StoreModule>(release, "store.js");
  const { ItemLog } = await load<LogModule>(release, "log.js");
  /** Opens the log in `directory` as the service does at start. */
  const open = (directory: string) => {
    const log = new ItemLog(directory);
    const store = new Store();
    for (const item of log.load()) store.merge(item);
    log.open(store);
    return { log, store };
  };
  return { open };
}

const items = Array.from({ length: 10 }, (_, number) => ({
  key: `k${number}`,
  value: `line one\nline "two" ${number}`,
  timestamp: 1000 + number,
  node: "kv-10.0.0.1",
}));

for (const release of RELEASES) {
  t.test(`${release} finds its items again`, async (t) => {
    const directory = t.testdir();
    const { open } = await modules(release);
    const { log, store } = open(directory);
    for (const item of items) {
      store.merge(item);
      log.append(item, store);
    }
    await log.close();
    const again = open(directory);
    t.equal(again.store.digest(), store.digest());
    t.equal(again.store.size, items.length);
    await again.log.close();
  });

  t.test(`${release} leaves out a last line cut short`, async (t) => {
    const directory = t.testdir();
    const { open } = await modules(release);
    const { log, store } = open(directory);
    log.append(items.at(0) as Item, store);
    await log.close();
    const file = join(directory, release === "v1" ? "items.ndjson" : "items.v2.ndjson");
    appendFileSync(file, readFileSync(file, "utf8").slice(0, 20));
    const again = open(directory);
    t.equal(again.store.size, 1);
    await again.log.close();
  });

  t.test(`${release} rewrites a log that is mostly stale`, async (t) => {
    const directory = t.testdir();
    const { open } = await modules(release);
    const { log, store } = open(directory);
    const item = { key: "k", value: "v", node: "a" };
    for (let timestamp = 1; timestamp <= 10_100; timestamp += 1) {
      store.merge({ ...item, timestamp });
      log.append({ ...item, timestamp }, store);
    }
    await log.close();
    const file = join(directory, release === "v1" ? "items.ndjson" : "items.v2.ndjson");
    t.ok(readFileSync(file, "utf8").split("\n").length < 200);
    const again = open(directory);
    t.equal(again.store.get("k")?.timestamp, 10_100);
    await again.log.close();
  });
}

t.test(
  "version 2 put in place of version 1 goes on with its items, and keeps its own from then on",
  async (t) => {
    const directory = t.testdir();
    const first = (await modules("v1")).open(directory);
    for (const item of items) {
      first.store.merge(item);
      first.log.append(item, first.store);
    }
    await first.log.close();
    const { open } = await modules("v2");
    const second = open(directory);
    t.equal(second.store.digest(), first.store.digest());
    const newer = { key: "k0", value: "newer", timestamp: 9000, node: "kv-10.0.0.1" };
    second.store.merge(newer);
    second.log.append(newer, second.store);
    await second.log.close();
    const third = open(directory);
    t.equal(third.store.get("k0")?.value, "newer");
    await third.log.close();
  },
);
