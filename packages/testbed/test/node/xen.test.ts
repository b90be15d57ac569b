/** The names of guests' interfaces, by which a testbed finds what it has to destroy. */
import t from "tap";
import { guestOf } from "../../node/xen.ts";

t.test("an interface names its guest", async (t) => {
  t.equal(guestOf("vif3.0"), 3);
  t.equal(guestOf("vif12.1"), 12);
  for (const other of ["vif3.0-emu", "vif", "vif3", "xbvif3.0", "uplink", "lo"])
    t.equal(guestOf(other), undefined, other);
});
