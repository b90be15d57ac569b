/** The packed kernel is found, and what is none is refused. */
import t from "tap";
import { lz4Payload } from "../../../image/build/vmlinuz.ts";

/** A bzImage of one setup sector whose payload starts 16 bytes into the protected-mode code. */
function bzImage(payload: Buffer): Buffer {
  const image = Buffer.alloc(3 * 512 + 16 + payload.length + 8);
  image[0x1f1] = 2;
  image.write("HdrS", 0x202, "latin1");
  image.writeUInt32LE(16, 0x248);
  image.writeUInt32LE(payload.length, 0x24c);
  payload.copy(image, 3 * 512 + 16);
  return image;
}

t.test("answers the frame without the length behind it", async (t) => {
  const frame = Buffer.from("02214c18deadbeef", "hex");
  t.same(lz4Payload(bzImage(Buffer.concat([frame, Buffer.from("00001000", "hex")]))), frame);
});

t.test("refuses other packings, other files and cut ones", async (t) => {
  const gzip = bzImage(Buffer.from("1f8b080000000000000000", "hex"));
  for (const wrong of [
    gzip,
    bzImage(Buffer.alloc(4)),
    Buffer.alloc(4096),
    Buffer.from("HdrS"),
    Buffer.alloc(0),
  ]) {
    t.throws(() => lz4Payload(wrong), { code: "E_IMAGE_BUILD" });
  }
});
