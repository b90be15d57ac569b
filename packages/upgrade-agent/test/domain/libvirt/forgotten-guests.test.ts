/** Which of Xen's guests is ours, by what `xl list -v` of Xen 4.17 prints. */
import t from "tap";
import { guestWith } from "../../../domain/libvirt/forgotten-guests.ts";
import { uuidOf } from "../../../domain/xml/frame.ts";

const ours = uuidOf("vm-n1-kv-2");
const listing = `Name                                        ID   Mem VCPUs\tState\tTime(s)   UUID                            Reason-Code\tSecurity Label
Domain-0                                     0  3328     1     r-----      25.0 00000000-0000-0000-0000-000000000000        -                -
vm-n1-kv-1                                   7   192     1     -b----       9.1 ${uuidOf("vm-n1-kv-1")}        -                -
vm-n1-kv-2                                  12   192     1     --p---       0.0 ${ours}        -                -
`;

t.test("a guest is found by its UUID alone", async (t) => {
  t.equal(guestWith(listing, ours), "12");
  t.equal(guestWith(listing, uuidOf("vm-n1-kv-3")), undefined);
  const foreign = listing.replace(ours, "5b2ac0d6-6a2f-4f0e-9c69-1d0e1a3f2b4c");
  t.equal(guestWith(foreign, ours), undefined, "one of that name that is not ours");
  t.equal(guestWith("", ours), undefined);
});
