/** Which fleets are simulated, how often, and what came out. */
import { Simulation } from "./simulation.ts";
import type { SimulationOptions, SimulationResult } from "./contract.ts";
import { makeGraph, makeViews, TOPOLOGIES } from "./topology.ts";

/** Overlays with traffic and no direct marks, and idle services with direct marks and no traffic. */
export const FLEETS = [...TOPOLOGIES, "idle"] as const;
export type Fleet = (typeof FLEETS)[number];

/** Other nodes that a node knows, for direct marks. An agent's fleet view has room for 1,024. */
const VIEW_NODES = 64;
export interface Variation {
  readonly name: string;
  readonly fleets: readonly Fleet[];
  readonly change: Pick<SimulationOptions, "lossShare" | "fetchRounds">;
  /** Direct marks besides the traffic. */
  readonly direct?: boolean;
}

export const VARIATIONS: readonly Variation[] = [
  {
    name: "a fifth of the marks lost",
    fleets: ["tree", "dht", "random", "idle"],
    change: { lossShare: 0.2 },
  },
  { name: "10 rounds to fetch", fleets: ["tree", "dht", "random", "idle"], change: { fetchRounds: 10 } },
  { name: "traffic and direct marks", fleets: ["ring", "tree", "dht", "random"], change: {}, direct: true },
];

/** Variations are of fleets of this size. */
const VARIED_NODES = 1_000;

export interface Plan {
  readonly sizes: readonly number[];
  /** Seeds per size. */
  readonly seeds: number;
  /** Seeds of the largest size: there, one can take a minute. */
  readonly seedsOfLargest: number;
}

export function makePlan(quick: boolean, rounds: number | undefined): Plan {
  const sizes = [10, 100, 1_000, 10_000];
  return {
    sizes: quick ? sizes : [...sizes, 100_000],
    seeds: rounds ?? 3,
    seedsOfLargest: rounds ?? 1,
  };
}

export interface Outcome {
  readonly fleet: Fleet;
  readonly nodes: number;
  /** Undefined: the plain case. */
  readonly variation: string | undefined;
  /** One per seed. */
  readonly results: readonly SimulationResult[];
}

export interface ExperimentHooks {
  readonly signal: AbortSignal;
  readonly say: (line: string) => void;
}

/** Rejects with RangeError when news stopped spreading, which would be a fault of the gossip core. */
export async function runPlan(plan: Plan, hooks: ExperimentHooks): Promise<readonly Outcome[]> {
  const outcomes: Outcome[] = [];
  for (const nodes of plan.sizes) {
    for (const fleet of FLEETS) outcomes.push(await runFleet(plan, fleet, nodes, undefined, hooks));
  }
  for (const variation of VARIATIONS) {
    for (const fleet of variation.fleets) {
      outcomes.push(await runFleet(plan, fleet, VARIED_NODES, variation, hooks));
    }
  }
  return outcomes;
}

async function runFleet(
  plan: Plan,
  fleet: Fleet,
  nodes: number,
  variation: Variation | undefined,
  { signal, say }: ExperimentHooks,
): Promise<Outcome> {
  const results: SimulationResult[] = [];
  const seeds = nodes === Math.max(...plan.sizes) ? plan.seedsOfLargest : plan.seeds;
  for (let seed = 1; seed <= seeds; seed += 1) {
    signal.throwIfAborted();
    const startedAtMs = performance.now();
    const simulation = new Simulation(optionsOf(fleet, nodes, seed, variation));
    const result = await simulation.run(signal);
    const tookS = ((performance.now() - startedAtMs) / 1_000).toFixed(1);
    const what = variation === undefined ? "" : `, ${variation.name}`;
    say(`${fleet} of ${nodes}, seed ${seed}${what}: ${result.all.rounds} rounds, simulated in ${tookS} s`);
    results.push(result);
  }
  return { fleet, nodes, variation: variation?.name, results };
}

export function optionsOf(
  fleet: Fleet,
  nodes: number,
  seed: number,
  variation: Variation | undefined,
): SimulationOptions {
  const direct = fleet === "idle" || variation?.direct === true;
  return {
    nodes,
    seed,
    ...(fleet === "idle" ? {} : { overlay: makeGraph(fleet, nodes, seed) }),
    ...(direct ? { views: makeViews(nodes, VIEW_NODES, seed) } : {}),
    ...variation?.change,
    // Their overlays are mutual, and long runs of few changes.
    frontierOnly: !direct && (fleet === "ring" || fleet === "tree"),
    roundsMax: 1_000 + 10 * nodes,
  };
}
