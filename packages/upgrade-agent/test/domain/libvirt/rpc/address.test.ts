import t from "tap";
import { endpointOf } from "../../../../domain/libvirt/rpc/address.ts";

void t.test("a path is a unix socket, tcp:// a host", async (t) => {
  t.same(endpointOf("/run/libvirt/libvirt-sock"), { path: "/run/libvirt/libvirt-sock" });
  t.same(endpointOf("tcp://127.0.0.1"), { host: "127.0.0.1", port: 16_509 });
  t.same(endpointOf("tcp://[::1]:7"), { host: "::1", port: 7 });
  for (const wrong of ["tcp://", "tcp://host/path", "tcp://host:99999"])
    t.throws(() => endpointOf(wrong), TypeError, wrong);
});
