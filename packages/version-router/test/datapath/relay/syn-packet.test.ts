import { equal } from "node:assert/strict";
import * as fc from "fast-check";
import t from "tap";
import { internetSum } from "../../../datapath/relay/packet.ts";
import { PeerForms } from "../../../datapath/relay/peer-forms.ts";
import { markOfSyn, readSyn, withOption } from "../../../datapath/relay/syn-packet.ts";

const MARK = { tag: 0x44a9, version: 2, advertisement: { version: 3, status: "available" } } as const;
const IP = "4500003c000540004006000a0a4e00010a4e0002";
/** What Linux sends: MSS, SACK, timestamps, window scale. */
const OPTIONS = "020405b40402080a012345670000000001030307";
const SYN = Buffer.from(`${IP}40001b580000000100000000a002faf000000000${OPTIONS}`, "hex");

t.test("Linux's SYN gets the option as its last, with right sums and lengths", async (t) => {
  const syn = readSyn(SYN);
  t.match(syn, { source: { port: 16_384 }, destination: { port: 7000 }, isAnswer: false, identification: 5 });
  if (syn === undefined) return;
  const marked = withOption(SYN, syn, MARK);
  t.ok(marked, "there is room");
  if (marked === undefined) return;
  t.equal(marked.length, 76);
  t.equal(marked.readUInt16BE(2), 76);
  t.equal(marked.readUInt16BE(4), 0, "the slot does not leave the node");
  t.equal(marked.subarray(40).toString("hex"), `${OPTIONS}fd105652100000022000000344a90000`);
  t.equal(internetSum(marked, 12, 8 + 56, 6 + 56), 0xffff);
  t.same(markOfSyn(marked), MARK);
  t.equal(markOfSyn(SYN), undefined);
  t.equal(withOption(marked, { ...syn, tcpBytes: 56 }, MARK), undefined, "no room for another");
});

t.test("only plain SYNs and SYN-ACKs without data are taken", async (t) => {
  const changed = (at: number, byte: number) => {
    const packet = Buffer.from(SYN);
    packet[at] = byte;
    return packet;
  };
  t.equal(readSyn(changed(33, 0x12))?.isAnswer, true);
  t.equal(readSyn(changed(33, 0x10)), undefined, "no SYN");
  t.equal(readSyn(changed(0, 0x46)), undefined, "IP options");
  t.equal(readSyn(changed(0, 0x60)), undefined, "IPv6");
  t.equal(readSyn(changed(9, 17)), undefined, "UDP");
  t.equal(readSyn(Buffer.concat([SYN, Buffer.from("x")])), undefined, "data");
});

t.test("no bytes make it throw, or grow beyond what TCP allows", async (t) => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 120 }), fc.boolean(), (bytes, looksRight) => {
      const packet = Buffer.from(bytes);
      if (looksRight) SYN.copy(packet, 0, 0, 30);
      markOfSyn(packet);
      const syn = readSyn(packet);
      const marked = syn === undefined ? undefined : withOption(packet, syn, MARK);
      equal(marked === undefined || marked.length <= 80, true);
    }),
  );
  t.pass();
});

t.test("a peer that took the option is tried with it first, until it takes the other again", async (t) => {
  const forms = new PeerForms();
  t.equal(forms.first(1), "stream");
  t.equal(forms.second("stream"), "option");
  forms.took(1, "option");
  t.equal(forms.first(1), "option");
  t.equal(forms.first(2), "stream");
  forms.took(1, "stream");
  t.equal(forms.first(1), "stream");
});
