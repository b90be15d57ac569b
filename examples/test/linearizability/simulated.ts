/** Histories that are linearizable by construction: clients of one register per key, each operation done at a moment of its own. */
import type { Action, Operation, Value } from "../../linearizability/history.ts";

/** Numbers from 0 to below 1, the same for the same seed (mulberry32). */
export function randomFrom(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}

export interface SimulationOptions {
  readonly seed: number;
  readonly operations: number;
  readonly keys: number;
  /** Clients, each of which has one operation under way at a time. */
  readonly clients: number;
  /** Share of operations whose answer is lost; half of them are never done, the others some time later. */
  readonly lost?: number;
  /** Compare-and-sets that fail do not say what they found. */
  readonly vague?: boolean;
}

interface Planned {
  readonly key: string;
  readonly plan: number;
  readonly value: string;
  readonly begunAt: number;
  readonly doneAt: number;
  readonly endedAt: number | undefined;
}

export function simulate(options: SimulationOptions): Operation[] {
  const { clients, keys, lost = 0, operations, seed } = options;
  const random = randomFrom(seed);
  const free = Array.from({ length: clients }, () => random());
  const planned: Planned[] = [];
  for (let number = 0; number < operations; number += 1) {
    const client = number % clients;
    const begunAt = (free[client] ?? 0) + random();
    const endedAt = begunAt + random() * 4;
    free[client] = endedAt;
    const isLost = random() < lost;
    const doneAt = isLost ? begunAt + random() * 40 : begunAt + random() * (endedAt - begunAt);
    planned.push({
      key: `k${Math.floor(random() * keys)}`,
      plan: random(),
      value: `v${number}`,
      begunAt,
      doneAt: isLost && random() < 0.5 ? Infinity : doneAt,
      endedAt: isLost ? undefined : endedAt,
    });
  }
  return perform(planned, random, options.vague === true);
}

/** Does what was planned in the order of the moments. */
function perform(planned: readonly Planned[], random: () => number, vague: boolean): Operation[] {
  const registers = new Map<string, Value>();
  const history: Operation[] = [];
  for (const { key, plan, value, begunAt, doneAt, endedAt } of planned.toSorted(
    (left, right) => left.doneAt - right.doneAt,
  )) {
    const held = registers.get(key) ?? null;
    const action = actionOf(plan, held, value, random, vague);
    const writes = action.kind === "write" || (action.kind === "cas" && action.done);
    if (writes && doneAt !== Infinity) registers.set(key, value);
    history.push({ key, action, begunAt, endedAt });
  }
  return history;
}

function actionOf(plan: number, held: Value, value: string, random: () => number, vague: boolean): Action {
  if (plan < 0.4) return { kind: "read", value: held };
  if (plan < 0.7) return { kind: "write", value };
  const done = random() < 0.7;
  const expected = done ? held : "never written";
  if (done || vague) return { kind: "cas", expected, value, done };
  return { kind: "cas", expected, value, done, found: held };
}
