/** Our base, an OCI archive and a root file system of the release follow each other on one fleet, in containers. */
import t from "tap";
import { residue } from "@version-manager/testbed";
import { leftSince, skip } from "./demonstration.ts";
import { busyboxHooks, entrypointHooks, ImageFleet, page, rootTarball, serviceArchive } from "./images.ts";

void t.test("three kinds of image, one after the other", { skip, timeout: 900_000 }, async (t) => {
  const before = await residue();
  const directory = t.testdir();
  const fleet = new ImageFleet({ name: "itimages", nodes: 2, directory, hypervisor: "lxc" });
  t.teardown(() => fleet.down());
  await fleet.up();

  const www = page(directory, "from our base");
  await fleet.upgrade(
    { version: 1, files: { www }, manifest: { hooks: busyboxHooks("/opt/app/www") } },
    300_000,
  );
  t.same(await fleet.pages(), ["from our base", "from our base"]);

  const archive = await serviceArchive(`${directory}/service.tar`, "docker-archive");
  const oci = { image: { oci: "image.tar" }, hooks: entrypointHooks };
  await fleet.upgrade({ version: 2, files: { "image.tar": archive }, manifest: oci }, 300_000);
  t.same(await fleet.pages(), ["from an OCI archive", "from an OCI archive"]);

  const rootfs = await rootTarball(directory, "from a root file system");
  const root = { image: { root: "rootfs.tar.gz" }, hooks: busyboxHooks("/srv/www") };
  await fleet.upgrade({ version: 3, files: { "rootfs.tar.gz": rootfs }, manifest: root }, 300_000);
  t.same(await fleet.pages(), ["from a root file system", "from a root file system"]);

  const listed = JSON.parse(await fleet.run(1, ["vm-upgrade", "image", "list", "--json"])) as {
    readonly source?: string;
    readonly builtAtMs: number;
    readonly uses: readonly string[];
  }[];
  for (const release of ["site 2: ", "site 3: "]) {
    // An earlier run on this machine may have left images of its own.
    const [newest] = listed
      .filter(({ source = "" }) => source.startsWith(release))
      .toSorted((left, right) => right.builtAtMs - left.builtAtMs);
    t.equal(newest?.uses.length, 2, `the image of ${release}knows its two disks`);
  }
  await fleet.run(1, ["vm-upgrade", "image", "prune", "--json"]);
  t.same(
    await fleet.pages(),
    ["from a root file system", "from a root file system"],
    "used ones are not pruned",
  );

  await fleet.down();
  t.same(await leftSince(before), [], "nothing is left behind");
});
