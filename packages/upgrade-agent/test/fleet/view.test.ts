import fc from "fast-check";
import t from "tap";
import {
  addresses6,
  mergeDigests,
  nodesBehind,
  nodesMax,
  nodesWithRelease,
  type NodeDigest,
} from "../../fleet/view.ts";
import type { Stage } from "../../lifecycle/stages.ts";

function digest(address: string, revision: number, stages: Record<number, Stage> = {}): NodeDigest {
  const versions = Object.entries(stages).map(([version, stage]) => ({
    service: "kv",
    version: Number(version),
    stage,
    enteredAtMs: 0,
    history: [],
  }));
  return { node: address, address, revision, versions };
}

t.test("the newest digest of a node wins, in any order of arrival", async () => {
  const revisions = fc.array(fc.tuple(fc.integer({ min: 1, max: 5 }), fc.nat(100)), { maxLength: 50 });
  fc.assert(
    fc.property(revisions, (list) => {
      let view = mergeDigests(new Map(), [], 0);
      for (const [node, revision] of list) view = mergeDigests(view, [digest(`n${node}`, revision)], 0);
      return [1, 2, 3, 4, 5].every((node) => {
        const ofNode = list.filter(([other]) => other === node).map(([, revision]) => revision);
        return view.get(`n${node}`)?.revision === (ofNode.length === 0 ? undefined : Math.max(...ofNode));
      });
    }),
  );
});

t.test("the view is bounded and forgets who was silent longest", async (t) => {
  let view = mergeDigests(new Map(), [digest("first", 1)], 0);
  const many = Array.from({ length: nodesMax }, (_, index) => digest(`n${index}`, 1));
  view = mergeDigests(view, many, 10);
  t.equal(view.size, nodesMax);
  t.notOk(view.has("first"));
});

t.test("the IPv6 addresses of those who have one", async (t) => {
  const told = [
    digest("a", 1),
    { ...digest("c", 1), address6: "fd10::c" },
    { ...digest("b", 1), address6: "fd10::b" },
  ];
  t.same(addresses6(mergeDigests(new Map(), told, 0)), ["fd10::b", "fd10::c"]);
});

t.test("who is behind, and who can give", async (t) => {
  const fleet = [
    digest("a", 1, { 1: "running", 2: "running" }),
    digest("b", 1, { 1: "running", 2: "copying" }),
    digest("c", 1, { 1: "retired", 2: "running" }),
    digest("d", 1),
  ];
  const view = mergeDigests(new Map(), fleet, 0);
  t.same(
    nodesBehind(view, "kv", 2).map((node) => node.address),
    ["b"],
  );
  t.same(nodesWithRelease(view, "kv", 2), ["a", "b", "c"]);
});
