/** Which nodes are run, and in which steps each polls and talks. */
import type { Dice } from "./random.ts";
import { neighbours } from "./topology.ts";
import type { Graph } from "./topology.ts";

export const POLL_STEPS = 10;
export const ROUND_STEPS = 40;

/** Sets, because nodes come and go while they are walked through. */
export class AwakeNodes {
  readonly #awake: Uint8Array;
  readonly #pollers = Array.from({ length: POLL_STEPS }, () => new Set<number>());
  readonly #talkers = Array.from({ length: ROUND_STEPS }, () => new Set<number>());
  readonly #diceOf: (node: number) => Dice;
  #count = 0;

  /** Nobody is awake at first. `diceOf` gives a node's phases, always the same. */
  constructor(nodes: number, diceOf: (node: number) => Dice) {
    this.#awake = new Uint8Array(nodes);
    this.#diceOf = diceOf;
  }

  get count(): number {
    return this.#count;
  }

  has(node: number): boolean {
    return this.#awake[node] === 1;
  }

  pollersAt(step: number): Iterable<number> {
    return this.#pollers[step % POLL_STEPS] ?? [];
  }

  talkersAt(step: number): Iterable<number> {
    return this.#talkers[step % ROUND_STEPS] ?? [];
  }

  wake(node: number): void {
    if (this.has(node)) return;
    this.#awake[node] = 1;
    this.#count += 1;
    for (const nodes of this.#phasesOf(node)) nodes.add(node);
  }

  /** Lets those be awake that have a neighbour in another state, after this node changed its own. */
  follow(changed: number, overlay: Graph, states: Uint8Array): void {
    for (const node of [changed, ...neighbours(overlay, changed)]) {
      if (neighbours(overlay, node).some((other) => states[other] !== states[node])) this.wake(node);
      else this.#sleep(node);
    }
  }

  #sleep(node: number): void {
    if (!this.has(node)) return;
    this.#awake[node] = 0;
    this.#count -= 1;
    for (const nodes of this.#phasesOf(node)) nodes.delete(node);
  }

  #phasesOf(node: number): Set<number>[] {
    const dice = this.#diceOf(node);
    const pollers = this.#pollers[dice.below(POLL_STEPS)];
    const talkers = this.#talkers[dice.below(ROUND_STEPS)];
    return [pollers, talkers].filter((nodes) => nodes !== undefined);
  }
}
