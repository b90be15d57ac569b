/** Golden vectors: recorded between virsh 9.0.0 and libvirtd 9.0.0 with `test:///default`, so they are libvirt's. */
import t from "tap";
import { encodePacket, PacketSplitter } from "../../../../domain/libvirt/rpc/frame.ts";
import {
  LIFECYCLE_MESSAGE,
  procedures,
  PROGRAM,
  PROTOCOL_VERSION,
  readError,
  readLifecycle,
} from "../../../../domain/libvirt/rpc/protocol.ts";
import type { Procedure } from "../../../../domain/libvirt/rpc/protocol.ts";
import { XdrReader, XdrWriter } from "../../../../domain/libvirt/rpc/xdr.ts";

const UUID = "6695eb01f6a4830479aa97f2502e193f";
const TEST = { name: "test", uuid: Buffer.from(UUID, "hex"), id: 1 };
const XML =
  "<domain type='test'><name>golden</name><memory unit='MiB'>8</memory><os><type>hvm</type></os></domain>";

function callOf<Args>(procedure: Procedure<Args, unknown>, serial: number, args: Args): string {
  const writer = new XdrWriter();
  procedure.write(writer, args);
  const packet = {
    program: PROGRAM,
    version: PROTOCOL_VERSION,
    procedure: procedure.number,
    type: 0,
    serial,
    status: 0,
  };
  return encodePacket({ ...packet, payload: writer.bytes() }).toString("hex");
}

function answerTo<Result>(procedure: Procedure<never, Result>, hex: string): Result {
  const [packet] = new PacketSplitter().push(Buffer.from(hex, "hex"));
  if (packet === undefined) throw new Error("no packet");
  if (packet.procedure !== procedure.number) throw new Error("another procedure's answer");
  return procedure.read(new XdrReader(packet.payload));
}

void t.test("calls have the bytes that libvirt's own client sends", async (t) => {
  const { authList, open, libVersion, lookupByName, registerLifecycle, close } = procedures;
  t.equal(callOf(authList, 0, undefined), "0000001c200080860000000100000042000000000000000000000000");
  t.equal(
    callOf(open, 2, "test:///default"),
    "00000038200080860000000100000001000000000000000200000000000000010000000f746573743a2f2f2f64656661756c740000000000",
  );
  t.equal(callOf(libVersion, 8, undefined), "0000001c20008086000000010000009d000000000000000800000000");
  t.equal(
    callOf(lookupByName, 6, "golden"),
    "0000002820008086000000010000001700000000000000060000000000000006676f6c64656e0000",
  );
  t.equal(
    callOf(registerLifecycle, 6, undefined),
    "0000002420008086000000010000013c0000000000000006000000000000000000000000",
  );
  t.equal(callOf(close, 9, undefined), "0000001c200080860000000100000002000000000000000900000000");
});

void t.test("calls with a domain or its XML have them too", async (t) => {
  t.equal(
    callOf(procedures.state, 7, TEST),
    `0000003c2000808600000001000000d40000000000000007000000000000000474657374${UUID}0000000100000000`,
  );
  t.equal(
    callOf(procedures.defineXml, 6, XML),
    `0000008c20008086000000010000015e00000000000000060000000000000066${Buffer.from(XML).toString("hex")}000000000001`,
  );
  t.equal(
    callOf(procedures.createXml, 6, { xml: XML, autodestroy: true }),
    `0000008c20008086000000010000000a00000000000000060000000000000066${Buffer.from(XML).toString("hex")}000000000012`,
  );
});

void t.test("saving, restoring and asking to stop have them too", async (t) => {
  const { save, restore, shutdown, touchInit, askForKeepAlive } = procedures;
  const file = "0000000f2f746d702f766d7265632e7361766500";
  const test = `0000000474657374${UUID}00000001`;
  t.equal(
    callOf(save, 8, { domain: TEST, path: "/tmp/vmrec.save" }),
    `000000542000808600000001000000e8000000000000000800000000${test}${file}0000000000000000`,
  );
  t.equal(
    callOf(restore, 9, "/tmp/vmrec.save"),
    `000000382000808600000001000000e9000000000000000900000000${file}0000000000000000`,
  );
  t.equal(
    callOf(shutdown, 11, { domain: TEST, bySignal: true }),
    `0000003c200080860000000100000102000000000000000b00000000${test}00000008`,
  );
  t.equal(
    callOf(touchInit, 12, TEST),
    `00000048200080860000000100000127000000000000000c00000000${test}00000000000000010000000000000000`,
  );
  t.equal(
    callOf(askForKeepAlive, 1, undefined),
    "0000002020008086000000010000003c0000000000000001000000000000000a",
  );
  t.equal(
    answerTo(askForKeepAlive, "0000002020008086000000010000003c00000001000000010000000000000001"),
    true,
  );
});

void t.test("answers are read from the bytes that libvirtd sends", async (t) => {
  const auth = "000000242000808600000001000000420000000100000000000000000000000100000000";
  t.same(answerTo(procedures.authList, auth), [0]);
  const version = "0000002420008086000000010000009d0000000100000008000000000000000000895440";
  t.equal(answerTo(procedures.libVersion, version), 9_000_000n);
  const state = "000000242000808600000001000000d40000000100000007000000000000000100000000";
  t.equal(answerTo(procedures.state, state), 1);
  const list = `00000040200080860000000100000111000000010000000600000000000000010000000474657374${UUID}0000000100000001`;
  t.same(answerTo(procedures.listAllDomains, list), [TEST]);
  const defined = `0000003c20008086000000010000015e00000001000000060000000000000006676f6c64656e0000${UUID}ffffffff`;
  t.same(answerTo(procedures.defineXml, defined), { ...TEST, name: "golden", id: -1 });
  t.equal(
    answerTo(
      procedures.registerLifecycle,
      "0000002020008086000000010000013c00000001000000060000000000000000",
    ),
    0,
  );
});

void t.test("an error keeps libvirt's code, domain and words", async (t) => {
  const hex =
    "000000702000808600000001000000170000000100000006000000010000002a0000000c0000000100000010446f6d61696e206e6f7420" +
    "666f756e6400000002000000000000000100000010446f6d61696e206e6f7420666f756e640000000000000000ffffffffffffffff00000000";
  const [packet] = new PacketSplitter().push(Buffer.from(hex, "hex"));
  t.equal(packet?.status, 1);
  const error = readError(new XdrReader(packet?.payload ?? Buffer.alloc(0)));
  t.same(error, { code: 42, domain: 12, message: "Domain not found" });
});

void t.test("a lifecycle event names the domain and what happened", async (t) => {
  t.equal(LIFECYCLE_MESSAGE, 318);
  const writer = new XdrWriter().int(0).string("test").fixedOpaque(TEST.uuid).int(1).int(5).int(1);
  t.same(readLifecycle(new XdrReader(writer.bytes())), { domain: TEST, event: 5, detail: 1 });
});
