import { deepEqual, ok } from "node:assert/strict";
import { readFile } from "node:fs/promises";
import * as fc from "fast-check";
import t from "tap";
import type { AdvertisedStatus } from "../../control/contract.ts";
import {
  decodeStreamMark,
  decodeUdpMark,
  encodeStreamMark,
  encodeTcpMark,
  encodeUdpMark,
  findTcpMark,
  mayBeStreamMark,
  serviceTag,
  unpackAdvertisement,
  VERSION_MAX,
} from "../../mark/index.ts";
import { GOLDEN, GOLDEN_TAGS } from "./golden.ts";
import { codePoint } from "../properties/code-point.ts";

const hex = (bytes: Uint8Array): string => Buffer.from(bytes).toString("hex");
const bytesOf = (text: string): Uint8Array => Buffer.from(text, "hex");

const version = fc.integer({ min: 1, max: VERSION_MAX });
const plain = { noNullPrototype: true } as const;
const status = fc.constantFrom<AdvertisedStatus>("running", "available", "retired", "aborted");
const advertisement = fc.option(fc.record({ version, status }, plain), { nil: undefined });
const mark = fc.record({ tag: fc.integer({ min: 1, max: 0xffff }), version, advertisement }, plain);

t.test("golden vectors, which docs/WIRE.md lists", async (t) => {
  const document = await readFile(new URL("../../../../docs/WIRE.md", import.meta.url), "utf8");
  for (const vector of GOLDEN) {
    t.equal(hex(encodeUdpMark(vector.mark)), vector.udp);
    t.equal(hex(encodeTcpMark(vector.mark)), vector.tcp);
    t.same(decodeUdpMark(bytesOf(vector.udp)), vector.mark);
    t.same(findTcpMark(bytesOf(vector.tcp)), vector.mark);
    t.equal(hex(encodeStreamMark(vector.mark)), vector.stream);
    t.same(decodeStreamMark(bytesOf(vector.stream)), vector.mark);
    const forms = [vector.udp, vector.tcp, vector.stream];
    t.ok(
      forms.every((form) => document.includes(form)),
      "all three are in docs/WIRE.md",
    );
  }
  for (const [name, tag] of Object.entries(GOLDEN_TAGS)) {
    t.equal(serviceTag(name), tag);
    t.match(document, new RegExp(`${name}.*${tag.toString(16).padStart(4, "0")}`));
  }
});

t.test("what is encoded is decoded", async (t) => {
  fc.assert(
    fc.property(mark, fc.uint8Array({ maxLength: 64 }), (wanted, payload) => {
      deepEqual(decodeUdpMark(Buffer.concat([encodeUdpMark(wanted), payload])), wanted);
      deepEqual(findTcpMark(encodeTcpMark(wanted)), wanted);
      deepEqual(decodeStreamMark(Buffer.concat([encodeStreamMark(wanted), payload])), wanted);
    }),
  );
  t.pass();
});

t.test("the option is found behind others, and not behind the end of the list", async (t) => {
  const option = encodeTcpMark({ tag: 7, version: 9, advertisement: undefined });
  const wanted = { tag: 7, version: 9, advertisement: undefined };
  const linux = bytesOf("020405b40402080a012345670000000001030307");
  t.same(findTcpMark(Buffer.concat([linux, option])), wanted);
  t.same(findTcpMark(Buffer.concat([bytesOf("0101"), option])), wanted);
  t.equal(findTcpMark(Buffer.concat([bytesOf("00"), option])), undefined);
  t.equal(findTcpMark(Buffer.concat([bytesOf("0200"), option])), undefined, "a length of 0 ends the search");
  t.equal(findTcpMark(option.subarray(0, 15)), undefined, "cut short");
  const otherExperiment = Uint8Array.from(option);
  otherExperiment[2] = 0xf9;
  t.equal(findTcpMark(otherExperiment), undefined);
});

t.test("decoders never throw, whatever the bytes", async (t) => {
  const start = fc.constantFrom("5652", "565244a91", "fd105652", "");
  fc.assert(
    fc.property(start, fc.uint8Array({ maxLength: 80 }), (prefix, rest) => {
      const bytes = Buffer.concat([bytesOf(prefix.slice(0, prefix.length & ~1)), rest]);
      for (const found of [decodeUdpMark(bytes), findTcpMark(bytes), decodeStreamMark(bytes)]) {
        if (found === undefined) continue;
        ok(found.tag >= 1 && found.tag <= 0xffff && found.version >= 1 && found.version <= VERSION_MAX);
      }
    }),
    { numRuns: 2000 },
  );
  t.pass();
});

t.test(
  "other formats, zero tags and zero versions are no marks; unknown statuses still deliver",
  async (t) => {
    t.equal(decodeUdpMark(bytesOf("565244a9200000022000000300000000")), undefined, "format 2");
    t.equal(decodeUdpMark(bytesOf("56520000100000022000000300000000")), undefined, "tag 0");
    t.equal(decodeUdpMark(bytesOf("565244a9100000002000000300000000")), undefined, "version 0");
    t.equal(findTcpMark(bytesOf("fd105652100000002000000344a90000")), undefined, "version 0 in the option");
    const future = decodeUdpMark(bytesOf("565244a910000002f0000003ffff0000"));
    t.same(future, { tag: 0x44a9, version: 2, advertisement: undefined });
    t.equal(unpackAdvertisement(0), undefined);
  },
);

t.test("encoders refuse what does not fit", async (t) => {
  for (const bad of [0, -1, 1.5, VERSION_MAX + 1, Number.NaN]) {
    t.throws(() => encodeUdpMark({ tag: 1, version: bad, advertisement: undefined }), RangeError);
    const advertisement = { version: bad, status: "running" } as const;
    t.throws(() => encodeTcpMark({ tag: 1, version: 1, advertisement }), RangeError);
  }
  for (const bad of [0, 65_536, 0.5]) {
    t.throws(() => encodeTcpMark({ tag: bad, version: 1, advertisement: undefined }), RangeError);
  }
});

t.test("a stream's mark has a checksum over all of it, and shows by its first bytes", async (t) => {
  const bytes = encodeStreamMark({ tag: 7, version: 9, advertisement: undefined });
  for (let at = 0; at < bytes.length; at += 1) {
    const wrong = Uint8Array.from(bytes, (byte, index) => (index === at ? byte ^ 0x10 : byte));
    t.equal(decodeStreamMark(wrong), undefined, `byte ${at}`);
    t.ok(mayBeStreamMark(bytes.subarray(0, at)), `${at} bytes of it`);
  }
  t.ok(mayBeStreamMark(bytes));
  for (const other of ["47", "5647", "5647455420"]) t.notOk(mayBeStreamMark(bytesOf(other)), other);
  t.equal(decodeStreamMark(encodeUdpMark({ tag: 7, version: 9, advertisement: undefined })), undefined);
});

t.test("tags are 1…65535, whatever the name", async (t) => {
  fc.assert(
    fc.property(fc.string({ unit: codePoint, maxLength: 80 }), (name) => {
      const tag = serviceTag(name);
      ok(Number.isInteger(tag) && tag >= 1 && tag <= 0xffff);
    }),
  );
  t.pass();
});
