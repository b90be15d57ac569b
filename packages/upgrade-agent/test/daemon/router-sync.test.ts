import t from "tap";
import { RouterError } from "@version-manager/version-router";
import type { RouterControl, ServicePolicy } from "@version-manager/version-router";
import { advertisementsOf, policyVersion, RouterSync } from "../../daemon/router-sync.ts";
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
    setPolicy: async () => undefined,
  } as unknown as RouterControl;
  const sync = new RouterSync({
    router,
    policyOf: async () => ({ unmanagedPeers: "deny" }),
    log: () => undefined,
  });
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

t.test("the newest version that runs says how peers without Version Manager are treated", async (t) => {
  const versionOf = (...rows: ReturnType<typeof row>[]) => policyVersion(rows, "kv")?.version;
  t.equal(versionOf(row(1, "running"), row(2, "running"), row(3, "migrating")), 2);
  t.equal(versionOf(row(1, "running"), row(2, "healthy")), 1, "the new one not before it runs");
  t.equal(versionOf(row(1, "retired"), row(2, "running")), 2);
  t.equal(versionOf(row(1, "draining"), row(2, "running")), 2);
  t.equal(versionOf(row(1, "starting"), row(2, "downloading")), 1, "the first needs it before it runs");
  t.equal(versionOf(row(1, "retired"), row(2, "failed"), row(3, "discovered")), undefined);
});

t.test("the router is told the policy, again when another version says otherwise", async (t) => {
  const told: ServicePolicy[] = [];
  const logged: string[] = [];
  let refuses = false;
  const router = {
    status: async () => ({ startedAtMs: 1 }),
    setManagedPeers: async () => undefined,
    setAdvertisements: async () => undefined,
    setPolicy: async (_service: string, policy: ServicePolicy) => {
      if (refuses) throw new RouterError("E_BAD_REQUEST", "this data path can only deny");
      told.push(policy);
    },
  } as unknown as RouterControl;
  const sync = new RouterSync({
    router,
    policyOf: async ({ version }) => ({ unmanagedPeers: version === 2 ? "deny" : "allow" }),
    log: (message) => logged.push(message),
  });
  await sync.sync([row(1, "running")], []);
  await sync.sync([row(1, "running"), row(2, "healthy")], []);
  t.same(told, [{ unmanagedPeers: "allow" }]);
  await sync.sync([row(1, "running"), row(2, "running")], []);
  t.same(told.at(-1), { unmanagedPeers: "deny" });
  refuses = true;
  await sync.sync([row(2, "retired"), row(3, "running")], []);
  await sync.sync([row(2, "retired"), row(3, "running")], []);
  t.match(logged, [/kv 3.*only deny/], "said once");
  t.ok(sync.status, "the rest goes on");
});
