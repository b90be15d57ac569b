import t from "tap";
import { keepImagesOnce } from "../../daemon/image-keeper.ts";
import type { PruneRequest } from "../../image/index.ts";

const { signal } = new AbortController();
const config = { imageCacheMiB: 2, imageUnusedHoursMin: 3 };

t.test("claims are renewed before anything goes, and what went is told", async (t) => {
  const calls: unknown[] = [];
  const said: string[] = [];
  const images = {
    renewUses: async () => void calls.push("renew"),
    prune: async ({ bytesMax, olderThanMs }: PruneRequest) => {
      calls.push({ bytesMax, olderThanMs });
      return {
        removed: [{ digest: "a".repeat(64), kind: "root", bytes: 2 ** 20 }],
        kept: [],
        freedBytes: 2 ** 20,
      } as const;
    },
  };
  await keepImagesOnce({ images, config, log: (line) => said.push(line) }, signal);
  t.same(calls, ["renew", { bytesMax: 2 * 1024 ** 2, olderThanMs: 3 * 3_600_000 }]);
  t.same(said, ["images: aaaaaaaaaaaa had no use; 1 MiB are free again"]);
});

t.test("when claims cannot be renewed, nothing goes", async (t) => {
  const images = {
    renewUses: () => Promise.reject(new Error("the disk is gone")),
    prune: () => Promise.reject(new Error("must not be asked")),
  };
  await t.rejects(keepImagesOnce({ images, config, log: () => {} }, signal), { message: "the disk is gone" });
});
