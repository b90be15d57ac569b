import t from "tap";
import { shapeOf } from "../../daemon/spare-shapes.ts";

const size = { memoryMiB: 192, vcpus: 2 };

void t.test("a release on our base has a shape, one with an image or kernel of its own has none", (t) => {
  t.same(shapeOf(size), size);
  t.same(shapeOf({ ...size, image: { base: "newest" } }), size);
  t.same(shapeOf({ ...size, image: { base: "ab".repeat(32) } }), { ...size, base: "ab".repeat(32) });
  t.equal(shapeOf({ ...size, image: { oci: "image.tar" } }), undefined);
  t.equal(shapeOf({ ...size, image: { kernel: "vmlinuz", initramfs: "initrd" } }), undefined);
  t.end();
});
