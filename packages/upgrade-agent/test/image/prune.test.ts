/** Which images go, and who uses one: without images, by their descriptions and claims alone. */
import { existsSync, mkdirSync, readdirSync, utimesSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import t from "tap";
import type { ListedImage } from "../../image/contract.ts";
import { choose, pruneImages } from "../../image/prune.ts";
import { claimImage, claimLapseMs, releaseImage, usesOf } from "../../image/uses.ts";

const digestOf = (letter: string): string => letter.repeat(64);

function image(letter: string, change: Partial<ListedImage> = {}): ListedImage {
  const digest = digestOf(letter);
  return {
    kind: "root",
    digest,
    directory: `/images/${digest}`,
    bytes: 100,
    builtAtMs: 0,
    uses: [],
    newest: false,
    ...change,
  };
}

const names = (images: readonly { readonly digest: string }[]): string =>
  images.map(({ digest }) => digest[0]).join("");

t.test("used ones and the newest base stay, whatever is asked", async (t) => {
  const images = [
    image("a", { uses: ["/disks/x"] }),
    image("b", { kind: "base", newest: true }),
    image("c"),
    image("d"),
  ];
  const { going, kept } = choose(images, new Set([digestOf("c")]), { olderThanMs: 0, bytesMax: 0 }, 1_000);
  t.equal(names(going), "d");
  t.same(
    kept.map(({ why }) => why),
    ["used", "newest base", "used"],
  );
});

t.test("age and budget: the oldest go first, until the rest fits", async (t) => {
  const images = ["a", "b", "c", "d"].map((letter, at) => image(letter, { builtAtMs: at * 10 }));
  t.equal(names(choose(images, new Set(), { bytesMax: 250 }, 100).going), "ab");
  t.equal(names(choose(images, new Set(), { bytesMax: 400 }, 100).going), "");
  t.equal(names(choose(images, new Set(), { olderThanMs: 85 }, 100).going), "ab");
  t.equal(
    names(choose(images, new Set(), { olderThanMs: 95, bytesMax: 0 }, 100).going),
    "a",
    "both must allow it",
  );
});

function imageDirectory(directory: string, letter: string, name = digestOf(letter)): void {
  mkdirSync(join(directory, name));
  writeFileSync(
    join(directory, name, "image.json"),
    JSON.stringify({ kind: "root", bytes: 1, builtAtMs: 1 }),
  );
}

t.test("claims: made, shared, released, lapsed", async (t) => {
  const directory = t.testdir();
  const digest = digestOf("a");
  const one = { disk: "/disks/x", owner: "1:1" };
  const same = { disk: "/disks/x", owner: "1:2" };
  await claimImage(directory, digest, one);
  await claimImage(directory, digest, one);
  await claimImage(directory, digest, same);
  t.same(await usesOf(directory, digest), ["/disks/x", "/disks/x"], "nodes may see their disks at one path");
  await releaseImage(directory, digest, one);
  t.equal((await usesOf(directory, digest)).length, 1);
  const claims = join(directory, ".uses", digest);
  for (const name of readdirSync(claims)) {
    const long = (Date.now() - claimLapseMs - 1_000) / 1000;
    utimesSync(join(claims, name), long, long);
  }
  t.same(await usesOf(directory, digest), []);
  await pruneImages(directory, {});
  t.notOk(existsSync(claims), "lapsed ones are swept");
  await claimImage(directory, digest, same);
  await releaseImage(directory, digest, same);
  await releaseImage(directory, digest, same);
  t.notOk(existsSync(claims), "the last one takes the directory with it");
});

t.test("prune removes the unused and nothing else", async (t) => {
  const directory = t.testdir();
  for (const letter of "ab") imageDirectory(directory, letter);
  writeFileSync(join(directory, ".lock"), "");
  await claimImage(directory, digestOf("a"), { disk: "/disks/x", owner: "1:1" });
  t.match(await pruneImages(directory, { dryRun: true }), { removed: [{ digest: digestOf("b") }] });
  t.ok(existsSync(join(directory, digestOf("b"))));
  const { removed, freedBytes } = await pruneImages(directory, {});
  t.equal(names(removed), "b");
  t.equal(freedBytes, 1);
  t.same(readdirSync(directory).toSorted(), [".lock", ".uses", digestOf("a")]);
});

t.test("what a killed prune has left is settled", async (t) => {
  const directory = t.testdir();
  imageDirectory(directory, "a", `.gone-${digestOf("a")}`);
  imageDirectory(directory, "b", `.gone-${digestOf("b")}`);
  mkdirSync(join(directory, `.gone-${digestOf("c")}`));
  for (const letter of "ac")
    await claimImage(directory, digestOf(letter), { disk: "/disks/x", owner: "1:1" });
  await pruneImages(directory, {});
  t.same(
    readdirSync(directory).toSorted(),
    [".uses", digestOf("a")],
    "claimed and whole: back; unclaimed, or half deleted: gone",
  );
});
