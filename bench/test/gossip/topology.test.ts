import t from "tap";
import { makeGraph, makeViews, neighbours, TOPOLOGIES } from "../../gossip/topology.ts";
import type { Graph } from "../../gossip/topology.ts";

function reachable(graph: Graph, nodes: number): number {
  const seen = new Set([0]);
  for (const node of seen) for (const other of neighbours(graph, node)) seen.add(other);
  t.ok(seen.size <= nodes);
  return seen.size;
}

t.test("every overlay reaches everybody, and nobody is a neighbour of itself", async (t) => {
  for (const topology of TOPOLOGIES) {
    for (const nodes of [2, 3, 10, 257]) {
      const graph = makeGraph(topology, nodes, 3);
      t.equal(reachable(graph, nodes), nodes, `${topology} of ${nodes}`);
      for (let node = 0; node < nodes; node += 1) t.notOk(neighbours(graph, node).includes(node));
    }
  }
});

t.test("ring, tree and random overlays are mutual", async (t) => {
  for (const topology of ["ring", "tree", "random"] as const) {
    const graph = makeGraph(topology, 100, 5);
    for (let node = 0; node < 100; node += 1) {
      for (const other of neighbours(graph, node)) t.ok(neighbours(graph, other).includes(node));
    }
  }
});

t.test("degrees: two on a ring, up to eight at random, about log2 N fingers", async (t) => {
  const mean = (graph: Graph) => graph.targets.length / 1_024;
  t.equal(mean(makeGraph("ring", 1_024, 1)), 2);
  t.ok(mean(makeGraph("random", 1_024, 1)) > 7.9);
  t.ok(Math.abs(mean(makeGraph("dht", 1_024, 1)) - 10) < 1.5);
});

t.test("a view has so many different others, or all in a small fleet", async (t) => {
  const views = makeViews(100, 20, 1);
  for (let node = 0; node < 100; node += 1) {
    const view = neighbours(views, node);
    t.equal(new Set(view).size, 20);
    t.notOk(view.includes(node));
  }
  t.same([...neighbours(makeViews(4, 20, 1), 2)], [0, 1, 3]);
});
