/**
 * The same in emulated virtual machines, with a cloud image that boots by itself and is told by cloud-init who it is,
 * and with a kernel that a release brings. Ten minutes and more: runs when asked for.
 */
import t from "tap";
import { residue } from "@version-manager/testbed";
import { createImageStore } from "../../index.ts";
import { cacheDirectory } from "../image/needs.ts";
import { leftSince, skip } from "./demonstration.ts";
import {
  busyboxHooks,
  cloudImage,
  entrypointHooks,
  ImageFleet,
  page,
  pythonHooks,
  rootTarball,
  serviceArchive,
} from "./images.ts";

/** Emulated machines on a busy host; systemd alone needs a quarter of a minute when it is idle. */
const upgradeTimeoutMs = 900_000;

void t.test("four kinds of image in virtual machines", { skip, timeout: 3_600_000 }, async (t) => {
  const before = await residue();
  const directory = t.testdir();
  const cloud = await cloudImage();
  const store = createImageStore({ cacheDirectory, stateDirectory: directory });
  const { digest } = await store.import({ path: cloud });
  const fleet = new ImageFleet({ name: "itimageswhole", nodes: 2, directory, hypervisor: "qemu" });
  t.teardown(() => fleet.down());
  await fleet.up();

  const www = page(directory, "from our base");
  await fleet.upgrade(
    { version: 1, files: { www }, manifest: { hooks: busyboxHooks("/opt/app/www") } },
    upgradeTimeoutMs,
  );
  t.same(await fleet.pages(), ["from our base", "from our base"]);

  const archive = await serviceArchive(`${directory}/service.tar`, "oci-archive");
  const oci = { image: { oci: "image.tar" }, hooks: entrypointHooks };
  await fleet.upgrade({ version: 2, files: { "image.tar": archive }, manifest: oci }, upgradeTimeoutMs);
  t.same(await fleet.pages(), ["from an OCI archive", "from an OCI archive"]);

  const cloudPage = page(directory, "from a cloud image");
  const imported = { image: { import: digest }, hooks: pythonHooks, memoryMiB: 512 };
  await fleet.upgrade({ version: 3, files: { www: cloudPage }, manifest: imported }, upgradeTimeoutMs);
  t.same(await fleet.pages(), ["from a cloud image", "from a cloud image"]);

  const rootfs = await rootTarball(directory, "from its own kernel");
  const files = { "rootfs.tar.gz": rootfs, vmlinuz: `${cloud}.vmlinuz`, initrd: `${cloud}.initrd` };
  const image = { root: "rootfs.tar.gz", kernel: "vmlinuz", initramfs: "initrd" };
  const own = { image, hooks: busyboxHooks("/srv/www"), memoryMiB: 512 };
  await fleet.upgrade({ version: 4, files, manifest: own }, upgradeTimeoutMs);
  t.same(await fleet.pages(), ["from its own kernel", "from its own kernel"]);

  await fleet.down();
  t.same(await leftSince(before), [], "nothing is left behind");
});
