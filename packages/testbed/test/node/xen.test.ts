/** What a testbed finds of its guests on a machine with Xen: interfaces by name, consoles by where they lead. */
import { readdirSync } from "node:fs";
import { join } from "node:path";
import t from "tap";
import { guestOf, removeConsoles } from "../../node/xen.ts";

t.test("an interface names its guest", async (t) => {
  t.equal(guestOf("vif3.0"), 3);
  t.equal(guestOf("vif12.1"), 12);
  for (const other of ["vif3.0-emu", "vif", "vif3", "xbvif3.0", "uplink", "lo"])
    t.equal(guestOf(other), undefined, other);
});

t.test("only a testbed's own consoles go", async (t) => {
  const consoles = t.testdir({
    "guest-mine.log": t.fixture("symlink", "/testbeds/one/n1/log"),
    "guest-others.log": t.fixture("symlink", "/testbeds/one-more/n1/log"),
    "guest-file.log": "",
  });
  removeConsoles("/testbeds/one", consoles);
  t.same(readdirSync(consoles), ["guest-file.log", "guest-others.log"]);
  removeConsoles("/testbeds/one", join(consoles, "none"));
});
