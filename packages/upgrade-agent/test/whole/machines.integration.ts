/** The main job in real virtual machines, by emulation. */
import t from "tap";
import { residue } from "@version-manager/testbed";
import { demonstrate, leftSince, skip } from "./demonstration.ts";

void t.test("a live upgrade in virtual machines", { skip, timeout: 1_700_000 }, async (t) => {
  const before = await residue();
  const { status, report, said } = await demonstrate(["--hypervisor", "qemu", "--rate", "30"]);
  t.equal(status, 0, said);
  t.match(report, { hypervisor: "qemu", nodes: 3, upgraded: 3, failed: 0 });
  t.ok(report.requests > 500, `${report.requests} requests`);
  t.ok(report.isolation.every((proof) => proof.onlyItsOwnKind));
  t.ok(report.verified.every(({ facts }) => facts.keys > 100 && facts.failed === 0));
  t.same(await leftSince(before), [], "nothing is left behind");
});
