import t from "tap";
import { encodePacket, PacketSplitter } from "../../../../domain/libvirt/rpc/frame.ts";
import { answerTo, KeepAlive, ping } from "../../../../domain/libvirt/rpc/keepalive.ts";

/** Recorded between virsh 9.0.0 and libvirtd 9.0.0. */
const PING = "0000001c6b6565700000000100000001000000020000000000000000";
const PONG = "0000001c6b6565700000000100000002000000020000000000000000";

void t.test("pings and pongs have libvirt's bytes", async (t) => {
  t.equal(encodePacket(ping).toString("hex"), PING);
  const [asked, answered] = new PacketSplitter().push(Buffer.from(PING + PONG, "hex"));
  if (asked === undefined || answered === undefined) throw new Error("two packets were pushed");
  const answer = answerTo(asked);
  if (answer === undefined || answer === "none") throw new Error("a ping wants an answer");
  t.equal(encodePacket(answer).toString("hex"), PONG);
  t.equal(answerTo(answered), "none");
  t.equal(answerTo({ ...asked, program: 0x2000_8086 }), undefined);
  t.equal(answerTo({ ...asked, version: 2 }), undefined);
});

void t.test("a daemon is asked when it is silent, and given up after so many questions", async (t) => {
  const keepAlive = new KeepAlive({ intervalMs: 1, count: 2 });
  t.equal(keepAlive.tick(), "ping");
  keepAlive.heard();
  t.equal(keepAlive.tick(), "quiet");
  t.same([keepAlive.tick(), keepAlive.tick()], ["ping", "ping"]);
  t.equal(keepAlive.tick(), "dead");
});
