import * as fc from "fast-check";
import t from "tap";
import { decodeCapture, decodePacket } from "../../mark/index.ts";

/** As tcpdump 4.99 prints a SYN of version 2, a marked datagram of version 1, and packets without marks. */
const CAPTURE = `07:09:50.000001 IP 10.78.0.1.17152 > 10.78.0.2.7000: Flags [S], seq 1, win 64240, options [mss 1444], length 0
\t0x0000:  4500 004c 0000 4000 4006 0000 0a4e 0001
\t0x0010:  0a4e 0002 4300 1b58 0000 0001 0000 0000
\t0x0020:  e002 faf0 0000 0000 0204 05a4 0402 080a
\t0x0030:  0123 4567 0000 0000 0103 0307 fd10 5652
\t0x0040:  1000 0002 2000 0003 44a9 0000
07:09:50.000002 IP 10.78.0.2.80 > 10.78.0.100.40000: Flags [.], ack 1, win 502, length 0
\t0x0000:  4500 0028 0000 4000 4006 0000 0a4e 0002
\t0x0010:  0a4e 0064 0050 9c40 0000 0001 0000 0001
\t0x0020:  5010 01f6 0000 0000
07:09:50.000003 IP 10.78.0.1.16384 > 10.78.0.2.7001: UDP, length 18
\t0x0000:  4500 002e 0000 4000 4011 0000 0a4e 0001
\t0x0010:  0a4e 0002 4000 1b59 001a 0000 5652 44a9
\t0x0020:  1000 0001 1000 0001 0000 beef 6869
`;

async function linesOf(text: string): Promise<string[]> {
  const lines: string[] = [];
  for await (const line of decodeCapture(text.split("\n"))) lines.push(line);
  return lines;
}

const MARKS = [
  "07:09:50.000001 10.78.0.1:17152 > 10.78.0.2:7000 tcp SYN: tag 0x44a9 version 2, advertises 3 available",
  "07:09:50.000003 10.78.0.1:16384 > 10.78.0.2:7001 udp: tag 0x44a9 version 1, advertises 1 running",
];

t.test("a capture becomes a line for each mark", async (t) => {
  t.same(await linesOf(CAPTURE), MARKS);
});

t.test("with -xx the Ethernet header is skipped", async (t) => {
  const hex = "52540000000052540000000108004500002e00004000401100000a4e00010a4e0002";
  const packet = decodePacket(
    Buffer.from(`${hex}40001b59001a0000565244a91000000110000001000000006869`, "hex"),
  );
  t.match(packet, { from: "10.78.0.1:16384", to: "10.78.0.2:7001", form: "udp", mark: { version: 1 } });
});

t.test("tags may be shown by name", async (t) => {
  const lines: string[] = [];
  for await (const line of decodeCapture(CAPTURE.split("\n"), () => "kv")) lines.push(line);
  t.match(lines[1], / udp: kv version 1, /);
});

t.test("later fragments and cut packets bear no mark", async (t) => {
  const fragment = CAPTURE.replaceAll("0000 4000 40", "0000 2001 40");
  t.same(await linesOf(fragment), []);
  t.same(await linesOf(CAPTURE.replaceAll(/\t0x0020.*\n/g, "")), []);
});

t.test("nothing that looks like a capture makes it throw", async (t) => {
  const line = fc.oneof(
    fc.string(),
    fc.uint8Array({ maxLength: 16 }).map((bytes) => {
      return `\t0x0000:  ${Buffer.from(bytes)
        .toString("hex")
        .replaceAll(/(.{4})/g, "$1 ")}`;
    }),
    fc.constantFrom(...CAPTURE.split("\n")),
  );
  await fc.assert(
    fc.asyncProperty(fc.array(line, { maxLength: 20 }), async (lines) => {
      await linesOf(lines.join("\n"));
    }),
  );
  fc.assert(fc.property(fc.uint8Array({ maxLength: 200 }), (bytes) => void decodePacket(bytes)));
  t.pass();
});
