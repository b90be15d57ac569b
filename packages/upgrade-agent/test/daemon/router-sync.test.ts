import t from "tap";
import type { RouterControl } from "@version-manager/version-router";
import { advertisementsOf, RouterSync } from "../../daemon/router-sync.ts";
import { newUpgrade } from "../../lifecycle/machine.ts";
import type { Stage } from "../../lifecycle/stages.ts";

function row(version: number, stage: Stage) {
  return newUpgrade({ service: "kv", version, source: "local", learnedBy: "seed" }, stage, 0);
}

t.test(
  "a version is advertised from the moment its release is complete here, until it is retired",
  async (t) => {
    const rows = [
      row(1, "retired"),
      row(2, "running"),
      row(3, "booting"),
      row(4, "downloading"),
      row(5, "failed"),
    ];
    t.same(advertisementsOf(rows, "kv"), [
      { version: 1, status: "retired" },
      { version: 2, status: "running" },
      { version: 3, status: "available" },
    ]);
  },
);

t.test("the router is told what changed, and everything again after it was away", async (t) => {
  const told: unknown[] = [];
  let startedAtMs = 1;
  let away = false;
  const router = {
    status: async () => {
      if (away) throw new Error("away");
      return { startedAtMs };
    },
    setManagedPeers: async (peers: unknown) => told.push(peers),
    setAdvertisements: async (_service: string, list: unknown) => told.push(list),
  } as unknown as RouterControl;
  const sync = new RouterSync(router);
  const list = [{ version: 1, status: "running" }];
  await sync.sync([row(1, "running")], ["10.77.0.2"]);
  await sync.sync([row(1, "running")], ["10.77.0.2"]);
  t.same(told, [["10.77.0.2"], list]);
  away = true;
  await sync.sync([row(1, "running")], ["10.77.0.2"]);
  t.equal(sync.status, undefined);
  away = false;
  await sync.sync([row(1, "running")], ["10.77.0.2"]);
  t.equal(told.length, 4);
  startedAtMs = 2;
  await sync.sync([row(1, "running")], ["10.77.0.2"]);
  t.equal(told.length, 6);
});
