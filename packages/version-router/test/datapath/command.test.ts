/** Several commands by one process: all are done, or the one that failed is named. Needs `ip`, not root. */
import t from "tap";
import { runBatch } from "../../datapath/kernel/command.ts";

t.test("a batch that succeeds", async (t) => {
  await t.resolves(
    runBatch("ip", [
      ["link", "show", "dev", "lo"],
      ["route", "show"],
    ]),
  );
});

t.test("the step that fails is named, with words that have blanks", async (t) => {
  const batch = runBatch("ip", [
    ["link", "show", "dev", "lo"],
    ["link", "show", "dev", "not there"],
    ["link", "show", "dev", "vm-never-asked-for"],
  ]);
  await t.rejects(batch, { code: "E_KERNEL", message: /^ip link show dev "not there": / });
  await t.rejects(batch, { message: /^(?!.*vm-never-asked-for)/s });
});
