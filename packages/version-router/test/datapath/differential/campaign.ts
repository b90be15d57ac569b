/** Runs sequences through the programs and the model; stops at the first difference and makes it small. */
import { Generator } from "./generator.ts";
import { IPV4, opening } from "./fixture.ts";
import { Judge } from "./judge.ts";
import { kindOf } from "./kinds.ts";
import { fromDomain } from "./model/from-domain.ts";
import { fromUplink } from "./model/from-uplink.ts";
import { toDomain } from "./model/to-domain.ts";
import { World } from "./model/world.ts";
import { Random } from "./random.ts";
import { changeModel } from "./steps.ts";
import type { Outcome } from "./model/frame.ts";
import type { Programs } from "./programs.ts";
import type { PacketStep, Step } from "./steps.ts";
import type { Tables } from "./tables.ts";

const PACKETS_PER_SEQUENCE = 500;

export interface Place {
  readonly programs: Programs;
  readonly tables: Tables;
  /** Interfaces of the slots, by number. */
  readonly interfaces: readonly number[];
  readonly uplink: number;
  readonly uplinkMtu: number;
}

export interface Report {
  readonly cases: number;
  /** Packets that a domain was given. */
  readonly deliveries: number;
  /** Connections that proved themselves. */
  readonly proven: number;
  /** How often each verdict was given, over all services and versions. */
  readonly verdicts: Readonly<Record<string, number>>;
  readonly actions: Readonly<Record<string, number>>;
  /** Cases by where they come from, and by what they are. */
  readonly origins: Readonly<Record<string, number>>;
  readonly kinds: Readonly<Record<string, number>>;
  /** What differed, with the steps that lead to it. */
  readonly failure?: string;
}

export const NO_REPORT: Report = {
  cases: 0,
  deliveries: 0,
  proven: 0,
  verdicts: {},
  actions: {},
  origins: {},
  kinds: {},
};

/** Sequence number n plays with the seed `seed + n`. */
export function runCampaign(place: Place, seed: number, cases: number): Report {
  let report = NO_REPORT;
  for (let sequence = 0; report.cases < cases; sequence += 1) {
    const trial = new Trial(place);
    const steps = play(place, trial, seed + sequence, Math.min(PACKETS_PER_SEQUENCE, cases - report.cases));
    report = sumReports(report, trial.report);
    if (trial.problem !== undefined)
      return { ...report, failure: explain(place, steps, `seed ${seed + sequence}`) };
  }
  return report;
}

export function sumReports(one: Report, other: Report): Report {
  return {
    cases: one.cases + other.cases,
    deliveries: one.deliveries + other.deliveries,
    proven: one.proven + other.proven,
    verdicts: sumCounts(one.verdicts, other.verdicts),
    actions: sumCounts(one.actions, other.actions),
    origins: sumCounts(one.origins, other.origins),
    kinds: sumCounts(one.kinds, other.kinds),
  };
}

type Counts = Readonly<Record<string, number>>;

function sumCounts(one: Counts, other: Counts): Counts {
  const names = new Set([...Object.keys(one), ...Object.keys(other)]);
  return Object.fromEntries([...names].sort().map((name) => [name, (one[name] ?? 0) + (other[name] ?? 0)]));
}

function addOne(counts: Record<string, number>, name: string): void {
  counts[name] = (counts[name] ?? 0) + 1;
}

function play(place: Place, trial: Trial, seed: number, packets: number): Step[] {
  const random = new Random(seed);
  const generator = new Generator(random, place.interfaces, place.uplink);
  const steps: Step[] = [];
  const take = (step: Step): void => {
    steps.push(step);
    const outcome = trial.take(step);
    if (step.kind === "packet" && outcome !== undefined) generator.remember(step, outcome);
  };
  for (const change of opening(random, place.interfaces)) take(change);
  while (trial.problem === undefined && trial.packets < packets)
    for (const step of generator.next()) take(step);
  trial.end();
  return steps;
}

/** One sequence, from empty maps. */
class Trial {
  readonly #place: Place;
  readonly #world = new World();
  readonly #judge = new Judge();
  readonly #actions: Record<string, number> = {};
  readonly #origins: Record<string, number> = {};
  readonly #kinds: Record<string, number> = {};
  packets = 0;
  problem: string | undefined;

  constructor(place: Place) {
    this.#place = place;
    this.#world.address = IPV4.us;
    this.#world.uplinkMtu = place.uplinkMtu;
    place.tables.clear();
  }

  get report(): Report {
    const verdicts: Record<string, number> = {};
    for (const [id, { packets }] of this.#world.counters) {
      const verdict = id.slice(id.lastIndexOf(" ") + 1);
      verdicts[verdict] = (verdicts[verdict] ?? 0) + packets;
    }
    const proven = [...this.#world.flows.values()].filter((flow) => flow.proven).length;
    return {
      cases: this.packets,
      deliveries: this.#judge.deliveries,
      proven,
      verdicts,
      actions: this.#actions,
      origins: this.#origins,
      kinds: this.#kinds,
    };
  }

  take(step: Step): Outcome | undefined {
    if (this.problem !== undefined) return undefined;
    if (step.kind === "packet") return this.#packet(step);
    this.#place.tables.change(step);
    changeModel(this.#world, step);
    return undefined;
  }

  end(): void {
    this.problem ??= this.#place.tables.difference(this.#world);
  }

  #packet(step: PacketStep): Outcome {
    const actual = this.#place.programs.run(step);
    const injustice = this.#judge.verdict(this.#world, step, actual);
    const expected = this.#expect(step);
    this.packets += 1;
    addOne(this.#actions, actual.action);
    addOne(this.#origins, step.origin ?? "well-formed");
    addOne(this.#kinds, kindOf(step));
    if (injustice !== undefined) this.problem = `the judge: ${injustice}; ${describe(actual)}`;
    else if (actual.action !== expected.action || !actual.frame.equals(expected.frame)) {
      this.problem = `the program: ${describe(actual)}\n  the model:   ${describe(expected)}`;
    }
    return actual;
  }

  #expect({ program, ifindex, gsoSize, frame }: PacketStep): Outcome {
    if (program === "tap_ingress") return fromDomain(this.#world, ifindex, frame, gsoSize);
    if (program === "uplink_ingress") return fromUplink(this.#world, frame, gsoSize);
    return toDomain(this.#world, ifindex, frame);
  }
}

function problemOf(place: Place, steps: readonly Step[]): string | undefined {
  const trial = new Trial(place);
  for (const step of steps) trial.take(step);
  trial.end();
  return trial.problem;
}

/** Leaves out steps, fewer at a time, as long as some problem remains. */
function explain(place: Place, all: readonly Step[], title: string): string {
  let steps = all;
  for (let size = Math.ceil(all.length / 2); size >= 1; size = Math.floor(size / 2)) {
    for (let at = steps.length - size; at >= 0; at -= size) {
      const fewer = steps.toSpliced(at, size);
      if (problemOf(place, fewer) !== undefined) steps = fewer;
    }
  }
  const lines = steps.map((step) => (step.kind === "packet" ? describeStep(step) : describeChange(step)));
  return [title, ...lines, problemOf(place, steps) ?? "it does not happen again"].join("\n  ");
}

function describeStep({ program, ifindex, gsoSize, frame }: PacketStep): string {
  return `${program} ifindex ${ifindex}${gsoSize > 0 ? ` gso ${gsoSize}` : ""}: ${frame.toString("hex")}`;
}

function describeChange(change: Step): string {
  return JSON.stringify(change, (_, value: unknown) =>
    value instanceof Object && "type" in value && value.type === "Buffer" && "data" in value
      ? Buffer.from(value.data as number[]).toString("hex")
      : value,
  );
}

function describe({ action, frame }: Outcome): string {
  return `${action} ${frame.toString("hex")}`;
}
