/** Who talks to whom: the overlays of the simulation, as one flat list of neighbours. */
import { Dice } from "./random.ts";

export const TOPOLOGIES = ["ring", "tree", "dht", "random"] as const;
export type Topology = (typeof TOPOLOGIES)[number];

/** Neighbours of node i are `targets[offsets[i] … offsets[i + 1])`. */
export interface Graph {
  readonly offsets: Int32Array;
  readonly targets: Int32Array;
}

const RANDOM_DEGREE = 8;
const ID_SPACE = 2 ** 32;
const ID_BITS = 32;

export function makeGraph(topology: Topology, nodes: number, seed: number): Graph {
  const dice = new Dice(seed).at(0, 0, 1);
  switch (topology) {
    case "ring":
      return toGraph(ring(nodes));
    case "tree":
      return toGraph(tree(nodes));
    case "dht":
      return toGraph(chord(nodes, dice));
    case "random":
      return toGraph(randomCycles(nodes, dice));
  }
}

/** What each node knows of the fleet: `size` others chosen at random, or all others in a smaller fleet. */
export function makeViews(nodes: number, size: number, seed: number): Graph {
  const dice = new Dice(seed).at(0, 0, 2);
  const all = Array.from({ length: nodes }, (_, node) => node);
  return toGraph(
    all.map((node) => {
      if (nodes <= size + 1) return all.filter((other) => other !== node);
      const view = new Set<number>();
      while (view.size < size) {
        const other = dice.below(nodes);
        if (other !== node) view.add(other);
      }
      return [...view];
    }),
  );
}

export function neighbours({ offsets, targets }: Graph, node: number): Int32Array {
  return targets.subarray(offsets[node], offsets[node + 1]);
}

function ring(nodes: number): number[][] {
  return Array.from({ length: nodes }, (_, node) => distinct(node, [node - 1 + nodes, node + 1], nodes));
}

/** Binary, complete but for its last level: parent and children. */
function tree(nodes: number): number[][] {
  return Array.from({ length: nodes }, (_, node) =>
    [Math.floor((node - 1) / 2), 2 * node + 1, 2 * node + 2].filter((other) => other >= 0 && other < nodes),
  );
}

/** Chord: random identifiers on a circle; finger k is the first node at or after identifier + 2^k. */
function chord(nodes: number, dice: Dice): number[][] {
  const ids = Float64Array.from({ length: nodes }, () => dice.below(ID_SPACE)).toSorted();
  return Array.from({ length: nodes }, (_, node) => {
    const fingers = Array.from({ length: ID_BITS }, (_unused, k) =>
      firstAtOrAfter(ids, ((ids[node] ?? 0) + 2 ** k) % ID_SPACE),
    );
    return distinct(node, fingers, nodes);
  });
}

/** The union of random cycles through all nodes: each has degree 8, and the graph is connected. */
function randomCycles(nodes: number, dice: Dice): number[][] {
  const lists: number[][] = Array.from({ length: nodes }, () => []);
  for (let cycle = 0; cycle < RANDOM_DEGREE / 2; cycle += 1) {
    const order = shuffled(nodes, dice);
    for (const [place, node] of order.entries()) {
      lists[node]?.push(order[(place + 1) % nodes] ?? 0, order[(place + nodes - 1) % nodes] ?? 0);
    }
  }
  return lists.map((list, node) => distinct(node, list, nodes));
}

function shuffled(nodes: number, dice: Dice): Int32Array {
  const order = Int32Array.from({ length: nodes }, (_, node) => node);
  for (let last = nodes - 1; last > 0; last -= 1) {
    const other = dice.below(last + 1);
    const swapped = order[last] ?? 0;
    order[last] = order[other] ?? 0;
    order[other] = swapped;
  }
  return order;
}

function distinct(node: number, others: readonly number[], nodes: number): number[] {
  return [...new Set(others.map((other) => other % nodes))].filter((other) => other !== node);
}

/** Index of the first of the sorted identifiers that is not below `id`, around the circle. */
function firstAtOrAfter(ids: Float64Array, id: number): number {
  let low = 0;
  let high = ids.length;
  while (low < high) {
    const middle = (low + high) >> 1;
    if ((ids[middle] ?? 0) < id) low = middle + 1;
    else high = middle;
  }
  return low % ids.length;
}

function toGraph(lists: readonly (readonly number[])[]): Graph {
  const offsets = new Int32Array(lists.length + 1);
  for (const [node, list] of lists.entries()) offsets[node + 1] = (offsets[node] ?? 0) + list.length;
  const targets = new Int32Array(offsets[lists.length] ?? 0);
  for (const [node, list] of lists.entries()) targets.set(list, offsets[node] ?? 0);
  return { offsets, targets };
}
