import * as fc from "fast-check";
import t from "tap";
import {
  encodePacket,
  HEADER_BYTES,
  PACKET_BYTES_MAX,
  PacketSplitter,
} from "../../../../domain/libvirt/rpc/frame.ts";
import type { Packet } from "../../../../domain/libvirt/rpc/frame.ts";

const packets = fc.array(
  fc.record({
    program: fc.integer({ min: 0, max: 2 ** 32 - 1 }),
    version: fc.constant(1),
    procedure: fc.integer({ min: 0, max: 500 }),
    type: fc.integer({ min: 0, max: 6 }),
    serial: fc.integer({ min: 0, max: 2 ** 32 - 1 }),
    status: fc.integer({ min: 0, max: 2 }),
    payload: fc.uint8Array({ maxLength: 100 }).map((bytes) => Buffer.from(bytes)),
  }),
  { minLength: 1, maxLength: 8 },
);

void t.test("packets come out whole and in order, however the stream is cut", async (t) => {
  fc.assert(
    fc.property(packets, fc.integer({ min: 1, max: 60 }), (sent, step) => {
      const stream = Buffer.concat(sent.map((packet) => encodePacket(packet)));
      const splitter = new PacketSplitter();
      const received: Packet[] = [];
      for (let at = 0; at < stream.length; at += step)
        received.push(...splitter.push(stream.subarray(at, at + step)));
      t.same(received, sent);
    }),
    { numRuns: 50 },
  );
});

void t.test("a length that no packet can have ends the stream", async (t) => {
  for (const length of [0, HEADER_BYTES - 1, PACKET_BYTES_MAX + 5, 0xffff_ffff]) {
    const bytes = Buffer.alloc(4);
    bytes.writeUInt32BE(length);
    t.throws(() => new PacketSplitter().push(bytes), { name: "XdrError" }, String(length));
  }
});
