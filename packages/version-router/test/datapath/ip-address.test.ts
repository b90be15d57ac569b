/** Addresses as text and as the kernel's tables hold them. */
import { isIPv6 } from "node:net";
import fc from "fast-check";
import t from "tap";
import { canonicalIp, formatIp, isGlobalIpv6, parseIp } from "../../datapath/ip-address.ts";

t.test("golden bytes", async (t) => {
  for (const [text, hex] of [
    ["10.78.0.1", "00000000000000000000ffff0a4e0001"],
    ["::", "00000000000000000000000000000000"],
    ["::1", "00000000000000000000000000000001"],
    ["fe80::1", "fe800000000000000000000000000001"],
    ["2001:db8::1:0:0:1", "20010db8000000000001000000000001"],
    ["1:2:3:4:5:6:7:8", "00010002000300040005000600070008"],
    ["64:ff9b::c000:201", "0064ff9b0000000000000000c0000201"],
  ] as const) {
    t.equal(parseIp(text).toString("hex"), hex, text);
    t.equal(formatIp(Buffer.from(hex, "hex")), text);
  }
});

t.test("one text for one address (RFC 5952)", async (t) => {
  t.equal(canonicalIp("2001:DB8:0:0:1:0:0:1"), "2001:db8::1:0:0:1");
  t.equal(canonicalIp("2001:0db8::0001"), "2001:db8::1");
  t.equal(canonicalIp("2001:db8:0:1:1:1:1:1"), "2001:db8:0:1:1:1:1:1", "one group of zeros is written out");
  t.equal(canonicalIp("::ffff:10.78.0.1"), "10.78.0.1");
  t.equal(canonicalIp("64:ff9b::192.0.2.1"), "64:ff9b::c000:201");
  fc.assert(
    fc.property(fc.uint8Array({ minLength: 16, maxLength: 16 }), (bytes) => {
      t.same(parseIp(formatIp(bytes)), Buffer.from(bytes));
    }),
  );
});

t.test("what Node's own parser takes is taken, and nothing else", async (t) => {
  const words = fc.constantFrom("0", "1", "ffff", "10000", "g", "", ":", "::", "1.2.3.4", "1.2.3.256", "abc");
  fc.assert(
    fc.property(fc.array(words, { maxLength: 9 }), fc.constantFrom(":", ""), (parts, separator) => {
      const text = parts.join(separator);
      if (!text.includes(":")) return;
      if (isIPv6(text)) parseIp(text);
      else t.throws(() => parseIp(text), RangeError, text);
    }),
  );
  for (const text of ["", "10.78.0", "10.78.0.256", "fe80::1%eth0", "1.2.3.4.5", "1.2.3.4::1", "01.2.3.4"])
    t.throws(() => parseIp(text), RangeError, text);
});

t.test("what another machine can be reached at", async (t) => {
  for (const text of ["2001:db8::1", "fd10::1", "64:ff9b::1"]) t.ok(isGlobalIpv6(text), text);
  for (const text of ["::", "::1", "::ffff:10.0.0.1", "fe80::1", "febf::1", "ff02::1", "10.0.0.1", "x:y"])
    t.notOk(isGlobalIpv6(text), text);
});
