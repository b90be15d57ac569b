/** The router's own gossip core in fleets of up to a thousand nodes, in virtual time and repeatable by seed. */
import t from "tap";
import { FLEETS, optionsOf } from "../../gossip/experiments.ts";
import { Simulation } from "../../gossip/simulation.ts";
import type { SimulationOptions } from "../../gossip/contract.ts";
import { makeGraph, makeViews } from "../../gossip/topology.ts";

/** Rounds per doubling of the fleet that may pass until the last node knows; runs took 1.3 to 1.9. */
const ROUNDS_PER_DOUBLING = 3;

async function roundsUntilAllKnow(options: SimulationOptions): Promise<number> {
  return (await new Simulation(options).run()).all.rounds;
}

for (const fleet of ["random", "dht", "idle"] as const) {
  t.test(
    `a thousand nodes (${fleet}) learn in a number of rounds like the logarithm of their number`,
    async (t) => {
      const rounds = await roundsUntilAllKnow(optionsOf(fleet, 1_000, 1, undefined));
      t.ok(rounds <= ROUNDS_PER_DOUBLING * Math.log2(1_000), `took ${rounds} rounds`);
    },
  );
}

t.test(
  "on a ring, news travels from neighbour to neighbour: ten times the nodes, ten times the rounds",
  async (t) => {
    const [small, large] = [
      await roundsUntilAllKnow(optionsOf("ring", 100, 1, undefined)),
      await roundsUntilAllKnow(optionsOf("ring", 1_000, 1, undefined)),
    ];
    t.ok(large > 7 * small && large < 14 * small, `took ${small} and ${large} rounds`);
  },
);

t.test("direct marks spare a ring that", async (t) => {
  const direct = { name: "direct", fleets: ["ring"], change: {}, direct: true } as const;
  const rounds = await roundsUntilAllKnow(optionsOf("ring", 1_000, 1, direct));
  t.ok(rounds <= Math.log2(1_000), `took ${rounds} rounds`);
});

t.test("the same seed gives the same run, another seed another", async (t) => {
  for (const fleet of FLEETS) {
    const [first, again, other] = await Promise.all(
      [1, 1, 2].map(async (seed) => new Simulation(optionsOf(fleet, 60, seed, undefined)).run()),
    );
    t.same(first, again, fleet);
    t.notSame(first, other, fleet);
  }
});

t.test("to leave out nodes that can neither learn nor teach changes no milestone", async (t) => {
  for (const topology of ["ring", "tree", "random"] as const) {
    for (const seed of [1, 2, 3]) {
      const options = { nodes: 200, seed, overlay: makeGraph(topology, 200, seed), roundsMax: 2_000 };
      const full = await new Simulation(options).run();
      const frontier = await new Simulation({ ...options, frontierOnly: true }).run();
      for (const milestone of ["half", "share99", "all"] as const) {
        t.equal(
          frontier[milestone].rounds,
          full[milestone].rounds,
          `${topology}, seed ${seed}, ${milestone}`,
        );
        const [counted, estimated] = [full[milestone].trafficMarks, frontier[milestone].trafficMarks];
        t.ok(Math.abs(estimated - counted) < 0.03 * counted, `${estimated} for ${counted} marks`);
      }
    }
  }
});

t.test("a version is passed on only when it is fetched", async (t) => {
  const options = { nodes: 50, seed: 1, overlay: makeGraph("random", 50, 1), roundsMax: 500 };
  const rounds = await roundsUntilAllKnow({ ...options, fetchRounds: 20 });
  t.ok(rounds > 40, `took ${rounds} rounds`);
});

t.test("news that cannot spread is an error that says how far it came", async (t) => {
  const options = { nodes: 10, seed: 1, overlay: makeGraph("ring", 10, 1), lossShare: 1, roundsMax: 20 };
  await t.rejects(new Simulation(options).run(), new RangeError("1 of 10 nodes learned in 20 rounds."));
});

t.test("a run can be stopped", async (t) => {
  const options = { nodes: 10, seed: 1, views: makeViews(10, 64, 1), lossShare: 1, roundsMax: 1e9 };
  await t.rejects(new Simulation(options).run(AbortSignal.abort(new Error("enough"))), { message: "enough" });
});
