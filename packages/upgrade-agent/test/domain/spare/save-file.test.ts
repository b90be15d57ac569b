/** The head of libvirt's save files: a golden one, all that may be wrong with one, and other domains' words in it. */
import * as fc from "fast-check";
import t from "tap";
import { HEAD_BYTES, readHead, rewriteHead } from "../../../domain/spare/save-file.ts";
import { machineXml } from "../../../domain/xml/machine.ts";
import { identity, machineSpec } from "../specs.ts";

/** Of a file that libvirt 9.0.0 wrote: 68,588 bytes of data, it ran, not compressed, the cookie at 2,724. */
const GOLDEN =
  `${Buffer.from("LibvirtQemudSave").toString("hex")}02000000ec0b01000100000000000000a40a0000`.padEnd(
    HEAD_BYTES * 2,
    "0",
  );
const COOKIE = "<cookie><cpu mode='custom'/></cookie>";

function file(xml: string, cookie = COOKIE, room = 4096): Buffer {
  const bytes = Buffer.alloc(HEAD_BYTES + room + 8, 0);
  Buffer.from(GOLDEN, "hex").copy(bytes);
  bytes.writeUInt32LE(room, 20);
  bytes.write(`${xml}\0${cookie}`, HEAD_BYTES, "utf8");
  bytes.writeUInt32LE(cookie === "" ? 0 : Buffer.byteLength(xml) + 1, 32);
  bytes.write("QEVM", HEAD_BYTES + room, "latin1");
  return bytes;
}

function partsOf(bytes: Buffer): { readonly xml: string; readonly cookie: string } {
  const { dataBytes, cookieAt } = readHead(bytes);
  const data = bytes.subarray(HEAD_BYTES, HEAD_BYTES + dataBytes);
  const text = (from: number): string => data.toString("utf8", from, data.indexOf(0, from));
  return { xml: text(0), cookie: cookieAt === 0 ? "" : text(cookieAt) };
}

void t.test("a golden head", (t) => {
  t.same(readHead(Buffer.from(GOLDEN, "hex")), { dataBytes: 68_588, cookieAt: 2724 });
  t.end();
});

void t.test("what is no finished save file is refused with E_DOMAIN", (t) => {
  const broken = (change: (bytes: Buffer) => void): Buffer => {
    const bytes = file("<domain/>");
    change(bytes);
    return bytes;
  };
  const cases: Readonly<Record<string, Buffer>> = {
    "still being written": broken((bytes) => bytes.write("LibvirtQemudPart")),
    "another version": broken((bytes) => bytes.writeUInt32LE(3, 16)),
    compressed: broken((bytes) => bytes.writeUInt32LE(1, 28)),
    "a cookie beyond its data": broken((bytes) => bytes.writeUInt32LE(5000, 32)),
    "data beyond all measure": broken((bytes) => bytes.writeUInt32LE(0xffff_ffff, 20)),
    "cut off in the head": file("<domain/>").subarray(0, 50),
    "cut off in the data": file("<domain/>").subarray(0, 500),
    "a cookie without an end": broken((bytes) => bytes.fill(0x20, HEAD_BYTES + 20)),
    empty: Buffer.alloc(0),
  };
  for (const [what, bytes] of Object.entries(cases))
    t.throws(() => rewriteHead(bytes, "<domain/>"), { code: "E_DOMAIN" }, what);
  t.throws(() => rewriteHead(file("<domain/>"), "x".repeat(4096)), { code: "E_DOMAIN" }, "no room");
  t.throws(() => rewriteHead(file("<domain/>"), "<a>\0</a>"), { code: "E_DOMAIN" }, "a zero in the XML");
  t.end();
});

void t.test("any bytes are either rewritten or refused with E_DOMAIN", (t) => {
  const noise = fc.uint8Array({ minLength: 0, maxLength: 300 });
  const damaged = fc.tuple(fc.nat(HEAD_BYTES + 100), fc.nat(255)).map(([at, value]) => {
    const bytes = file("<domain/>", COOKIE, 256);
    bytes[at] = value;
    return bytes;
  });
  fc.assert(
    fc.property(fc.oneof(noise, damaged), (bytes) => {
      try {
        rewriteHead(Buffer.from(bytes), "<domain/>");
      } catch (error) {
        return (error as { readonly code?: string }).code === "E_DOMAIN";
      }
      return true;
    }),
  );
  t.end();
});

void t.test("whatever a domain's facts are, the file says that domain and keeps the cookie", (t) => {
  const text = fc.string({ minLength: 1, maxLength: 40, unit: "grapheme-ascii" });
  const hostile = fc.oneof(text, fc.constantFrom(`"/><x a='`, "]]>", "</domain>", "<!--", "&lt;"));
  const facts = fc.record({
    path: hostile,
    log: hostile,
    service: hostile,
    cookie: fc.constantFrom(COOKIE, ""),
  });
  fc.assert(
    fc.property(facts, ({ path, log, service, cookie }) => {
      const disk = { kind: "qcow2", path: `/${path}`, kernel: "/b/vmlinux", initramfs: "/b/i" } as const;
      const whose = { ...identity, service: service.replaceAll(/[\s"']/g, "_") };
      const spec = machineSpec("vm-n1-kv-2", { disk, consoleLog: `/${log}`, identity: whose });
      const xml = machineXml("qemu", spec, { socket: `/${path}`, template: false });
      const before = file("<domain type='qemu'>the spare's</domain>", cookie, 8192);
      const after = Buffer.concat([rewriteHead(before, xml), before.subarray(HEAD_BYTES + 8192)]);
      const depth = (pattern: RegExp): number => [...xml.matchAll(pattern)].length;
      return (
        after.length === before.length &&
        after.toString("latin1", after.length - 8).startsWith("QEVM") &&
        partsOf(after).xml === xml &&
        partsOf(after).cookie === cookie &&
        depth(/<domain /g) === 1 &&
        depth(/<\/domain>/g) === 1 &&
        depth(/<serial /g) === 2
      );
    }),
  );
  t.end();
});
