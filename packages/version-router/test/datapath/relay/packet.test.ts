import { deepEqual, equal } from "node:assert/strict";
import * as fc from "fast-check";
import t from "tap";
import { formatAddress, parseAddress } from "../../../datapath/relay/endpoint.ts";
import { HEADER_BYTES, writeHeaders } from "../../../datapath/relay/packet.ts";

const port = fc.integer({ min: 1, max: 65_535 });
const endpoint = fc.record({ address: fc.integer({ min: 0, max: 0xffff_ffff }), port });

t.test("a known datagram", async (t) => {
  const packet = Buffer.alloc(HEADER_BYTES + 3);
  packet.write("hi", HEADER_BYTES);
  const [from, to] = ["10.78.0.1", "10.78.0.2"].map(parseAddress);
  writeHeaders(packet, 0, { address: from ?? 0, port: 16_384 }, { address: to ?? 0, port: 7001 }, 2);
  t.equal(
    packet.subarray(0, HEADER_BYTES + 2).toString("hex"),
    "4500001e00004000401100000a4e00010a4e000240001b59000a27796869",
  );
});

t.test("the checksum is right, wherever the packet begins, and nothing else is touched", async (t) => {
  const at = fc.integer({ min: 0, max: 20 }).map((half) => half * 2);
  const payload = fc.uint8Array({ maxLength: 200 });
  fc.assert(
    fc.property(endpoint, endpoint, payload, at, (source, destination, bytes, at) => {
      const buffer = Buffer.alloc(at + HEADER_BYTES + bytes.length + 3, 0xee);
      buffer.set(bytes, at + HEADER_BYTES);
      writeHeaders(buffer, at, source, destination, bytes.length);
      const end = at + HEADER_BYTES + bytes.length;
      deepEqual(buffer.subarray(at + HEADER_BYTES, end), Buffer.from(bytes));
      equal(
        buffer.subarray(0, at).every((byte) => byte === 0xee),
        true,
      );
      equal(
        buffer.subarray(end + 1).every((byte) => byte === 0xee),
        true,
      );
      // RFC 768: the sum over pseudo header, header and payload, with the checksum in it, is all ones.
      let sum = 17 + 8 + bytes.length;
      for (let word = at + 12; word < end; word += 2)
        sum += ((buffer[word] ?? 0) << 8) + (word + 1 < end ? (buffer[word + 1] ?? 0) : 0);
      while (sum > 0xffff) sum = (sum & 0xffff) + (sum >>> 16);
      equal(sum, 0xffff);
    }),
  );
  t.pass();
});

t.test("addresses are read as they are written", async (t) => {
  t.equal(parseAddress("169.254.128.1"), 0xa9fe8001);
  fc.assert(fc.property(fc.ipV4(), (text) => formatAddress(parseAddress(text)) === text));
});
