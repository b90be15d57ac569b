import t from "tap";
import type { TracedPacket } from "@version-manager/version-router";
import { traceLine } from "../../cli/screen/packet-line.ts";

const atMs = new Date(2026, 0, 2, 3, 4, 5, 6).getTime() + 0.25;
const packet: TracedPacket = {
  type: "packet",
  atMs,
  hook: "tap_ingress",
  direction: "out",
  interface: "vm-s0",
  protocol: "tcp",
  source: "10.77.0.1",
  sourcePort: 16_384,
  destination: "10.77.0.2",
  destinationPort: 7000,
  flags: "S",
  bytes: 74,
  service: "kv",
  version: 1,
  mark: { service: "kv", tag: 0x44a9, senderVersion: 1, advertisement: { version: 2, status: "available" } },
  verdict: "marked",
  outcome: "passed",
  reason: "given its version's mark and sent to the peer",
};

t.test("a packet is one line", async (t) => {
  t.equal(
    traceLine(packet),
    "03:04:05.006250 vm-s0  out 10.77.0.1.16384 > 10.77.0.2.7000: tcp [S] 74 bytes, kv v1, " +
      "mark v1 advertises v2 available; passed, marked: given its version's mark and sent to the peer",
  );
});

t.test("a stranger's packet: another service's mark, nobody's, no ports", async (t) => {
  const { mark: _mark, flags: _flags, ...plain } = packet;
  const strange = { ...plain, service: "", version: 0, sourcePort: 0, destinationPort: 0, protocol: "icmp" };
  t.match(traceLine(strange), /10\.77\.0\.1 > 10\.77\.0\.2: icmp 74 bytes, no mark; passed, marked: /);
  const marked = { ...strange, mark: { service: "", tag: 0x1234, senderVersion: 9 } };
  t.match(traceLine(marked), /, mark tag 0x1234 v9; /);
  t.match(
    traceLine({ ...plain, version: 0, mark: { service: "cfs", tag: 1, senderVersion: 3 } }),
    /, kv, mark cfs v3; /,
  );
  t.match(traceLine({ ...strange, protocol: "", interface: "vm-s1" }), / vm-s1 {2}out no IP: 74 bytes, /);
});

t.test("what is not shown is told, and notes have a code", async (t) => {
  t.equal(traceLine({ type: "missed", packets: 12 }), "12 packets not shown");
  t.equal(traceLine({ type: "note", code: "W_X", message: "so" }), "W_X: so");
});
