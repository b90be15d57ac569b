/** The digest names what an image is made of. */
import { execFileSync } from "node:child_process";
import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import t from "tap";
import {
  defaultRegisterTool,
  parseList,
  parseModules,
  readOwnParts,
  recipeDigest,
  type Recipe,
} from "../../../image/build/recipe.ts";

const recipe: Recipe = {
  packages: ["nodejs"],
  modules: [{ name: "virtio", xenOnly: false }],
  rootFiles: [{ path: "sbin/vm-init", source: "/a/vm-init", mode: 0o755, sha256: "00" }],
  initramfsFiles: [],
  resolved: [{ name: "nodejs", version: "18.20.4" }],
  kernel: { name: "linux-image-6.1.0-1-cloud-amd64", version: "6.1.1-1" },
};

t.test("depends on everything that goes in", async (t) => {
  const changed: readonly Partial<Recipe>[] = [
    { resolved: [{ name: "nodejs", version: "18.20.5" }] },
    { kernel: { ...recipe.kernel, version: "6.1.2-1" } },
    { modules: [{ name: "virtio", xenOnly: true }] },
    { rootFiles: [] },
    { rootFiles: recipe.rootFiles.map((file) => ({ ...file, mode: 0o644 })) },
    { rootFiles: recipe.rootFiles.map((file) => ({ ...file, sha256: "01" })) },
    { initramfsFiles: recipe.rootFiles },
  ];
  const digests = [recipe, ...changed.map((change) => ({ ...recipe, ...change }))].map(recipeDigest);
  t.equal(new Set(digests).size, digests.length);
  t.match(digests[0], /^[0-9a-f]{64}$/);
});

t.test("does not depend on where our files lie", async (t) => {
  const elsewhere = {
    ...recipe,
    rootFiles: recipe.rootFiles.map((file) => ({ ...file, source: "/b/vm-init" })),
  };
  t.equal(recipeDigest(elsewhere), recipeDigest(recipe));
});

t.test("lists have comments and blanks", async (t) => {
  t.same(parseList("# why\nnodejs\n\n  dropbear-bin # SSH\n"), ["nodejs", "dropbear-bin"]);
  t.same(parseModules("virtio\nxen: xen-blkfront\n"), [
    { name: "virtio", xenOnly: false },
    { name: "xen-blkfront", xenOnly: true },
  ]);
});

t.test("our own parts", async (t) => {
  const { register } = { register: join(t.testdir({ "vm-register": "#!/bin/sh\n" }), "vm-register") };
  const own = await readOwnParts(register);
  t.ok(own.packages.includes("dropbear-bin"));
  t.match(
    own.rootFiles.find(({ path }) => path === "usr/bin/vm-register"),
    { mode: 0o755, source: register },
  );
  t.match(
    own.rootFiles.find(({ path }) => path === "sbin/vm-init"),
    { mode: 0o755 },
  );
  t.match(
    own.initramfsFiles.map(({ path }) => path),
    ["init"],
  );
  for (const { path, source } of [...own.rootFiles, ...own.initramfsFiles]) {
    const check = readFileSync(source, "utf8").startsWith("#!/usr/bin/perl") ? ["perl", "-c"] : ["sh", "-n"];
    const [program = "", option = ""] = check;
    const run = (): Buffer => execFileSync(program, [option, source], { stdio: "pipe" });
    t.doesNotThrow(run, `${path} is a script without errors`);
  }
});

t.test("the register tool comes from the router's package", async (t) => {
  t.ok(existsSync(defaultRegisterTool()), defaultRegisterTool());
  await t.rejects(readOwnParts("/nowhere/vm-register"), { code: "E_IMAGE_BUILD" });
});
