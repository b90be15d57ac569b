import t from "tap";
import { retryAfterMs, type LostRequest } from "../../policy/retry.ts";

const LOST: LostRequest = {
  kind: "write",
  tries: 1,
  unsent: true,
  reason: "failed",
  versions: 2,
  ageMs: 0,
  connectRetryMs: 5_000,
};

t.test("a write is sent again only while nothing of it was sent", async (t) => {
  t.equal(retryAfterMs(LOST), 0);
  t.equal(retryAfterMs({ ...LOST, tries: 9, ageMs: 4_999 }), 0);
  t.equal(retryAfterMs({ ...LOST, ageMs: 5_000 }), undefined);
  t.equal(retryAfterMs({ ...LOST, unsent: false }), undefined);
});

t.test("who refuses is asked less and less often", async (t) => {
  const pauses = [1, 2, 3, 4, 5, 6, 7].map((tries) => retryAfterMs({ ...LOST, reason: "refused", tries }));
  t.same(pauses, [50, 100, 200, 400, 800, 1000, 1000]);
});

t.test("a read goes elsewhere when it can", async (t) => {
  const read: LostRequest = { ...LOST, kind: "read" };
  t.equal(retryAfterMs({ ...read, reason: "refused" }), undefined);
  t.equal(retryAfterMs({ ...read, unsent: false }), 0);
  t.equal(retryAfterMs({ ...read, unsent: false, tries: 2 }), undefined);
  t.equal(retryAfterMs({ ...read, versions: 1, reason: "refused" }), 50);
  t.equal(retryAfterMs({ ...read, versions: 1, unsent: false, tries: 2 }), undefined);
});
