/** The main job in containers, with daemons killed meanwhile; the ordinary way beside it; and nothing left behind. */
import t from "tap";
import { residue } from "@version-manager/testbed";
import { demonstrate, leftSince, skip } from "./demonstration.ts";

void t.test("a live upgrade with an agent and routers killed", { skip, timeout: 900_000 }, async (t) => {
  const before = await residue();
  const { status, report, said } = await demonstrate(["--hypervisor", "lxc", "--kill"]);
  t.equal(status, 0, said);
  t.match(report, { schema: 1, mode: "simultaneous", hypervisor: "lxc", nodes: 3, upgraded: 3, failed: 0 });
  t.ok(report.requests > 1_000, `${report.requests} requests`);
  t.equal(report.killed.length, 3);
  t.equal(report.isolation.length, 6, "two versions on three nodes");
  t.ok(report.isolation.every((proof) => proof.onlyItsOwnKind));
  t.ok(report.verified.every(({ facts }) => facts.keys > 100 && facts.failed === 0));
  for (const [node, stages] of Object.entries(report.stages)) {
    const names = stages.map((entry) => entry.stage);
    t.equal(names.at(-1), "running", node);
    t.ok(names.indexOf("attached") < names.indexOf("migrating"), "no migration before clients are attached");
  }
  t.same(await leftSince(before), [], "nothing is left behind");
});

void t.test("the same upgrade in place fails requests", { skip, timeout: 900_000 }, async (t) => {
  const before = await residue();
  const { status, report, said } = await demonstrate(["--hypervisor", "lxc", "--rolling"]);
  t.equal(status, 1, said);
  t.match(report, { mode: "rolling", upgraded: 3 });
  t.ok(report.failed > 0, "that is the reason for the product to exist");
  t.ok(report.isolation.some((proof) => !proof.onlyItsOwnKind));
  t.same(await leftSince(before), [], "nothing is left behind");
});
