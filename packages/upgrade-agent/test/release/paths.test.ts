import { mkdirSync, mkdtempSync, realpathSync, rmSync, symlinkSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join, sep } from "node:path";
import * as fc from "fast-check";
import t from "tap";
import { entryPath, linkStaysInside, throughLink } from "../../release/paths.ts";

t.test("spellings of an entry's path", async (t) => {
  t.equal(entryPath("a/b"), "a/b");
  t.equal(entryPath("./a//b/"), "a/b");
  t.equal(entryPath("./"), "");
  for (const path of ["/a", "../a", "a/../b", "a/..", "a\0b", "a".repeat(4000)])
    t.equal(entryPath(path), undefined, path);
});

t.test("links that stay inside, and links that do not", async (t) => {
  for (const [path, target] of [
    ["a", "b"],
    ["bin/x", "../lib/x"],
    ["a/b/c", "../../d/e"],
    ["a/b", ".."],
    ["a", "./b/./c"],
  ] as const) {
    t.ok(linkStaysInside(path, target), `${path} -> ${target}`);
  }
  for (const [path, target] of [
    ["a", ""],
    ["a", "/etc/passwd"],
    ["a", ".."],
    ["a", "../a"],
    ["a/b", "../../c"],
    ["a/b", "../c/../../d"],
    ["a", "b/../../c"],
    ["a", "b/../c"],
    ["a", "b\0"],
  ] as const) {
    t.notOk(linkStaysInside(path, target), `${path} -> ${target}`);
  }
});

t.test("entries behind links", async (t) => {
  const links = new Set(["a/b"]);
  t.equal(throughLink("a/b/c", links), "a/b");
  t.equal(throughLink("a/b", links), undefined);
  t.equal(throughLink("a/bc", links), undefined);
  t.equal(throughLink("a/b/c", new Set()), undefined);
});

/** The claim in paths.ts, held against the kernel: links that pass the rule never lead out, whatever the others are. */
t.test("no set of accepted links leads out of the tree", async (t) => {
  const name = fc.constantFrom("a", "b", "c");
  const part = fc.constantFrom("a", "b", "c", "..", ".");
  const path = fc.array(name, { minLength: 1, maxLength: 3 }).map((parts) => parts.join("/"));
  const target = fc.array(part, { minLength: 1, maxLength: 5 }).map((parts) => parts.join("/"));
  const root = mkdtempSync(join(tmpdir(), "vm-paths-test-"));
  t.teardown(() => rmSync(root, { recursive: true }));
  let trees = 0;
  fc.assert(
    fc.property(
      fc.uniqueArray(fc.tuple(path, target), { maxLength: 6, selector: ([p]) => p }),
      (candidates) => {
        const tree = join(root, String((trees += 1)), "tree");
        mkdirSync(tree, { recursive: true });
        const accepted = candidates.filter(([path, target]) => linkStaysInside(path, target));
        const links = new Set(accepted.map(([path]) => path));
        const made = accepted.filter(([path]) => throughLink(path, links) === undefined);
        for (const [path, target] of made) {
          mkdirSync(dirname(join(tree, path)), { recursive: true });
          try {
            symlinkSync(target, join(tree, path));
          } catch {
            // A directory of an earlier link's path is in its place.
          }
        }
        return made.every(([path]) => insideOrNowhere(tree, join(tree, path)));
      },
    ),
  );
  t.ok(trees >= 100);
});

function insideOrNowhere(tree: string, link: string): boolean {
  let real: string;
  try {
    real = realpathSync(link);
  } catch {
    return true;
  }
  return real === tree || real.startsWith(`${tree}${sep}`);
}
