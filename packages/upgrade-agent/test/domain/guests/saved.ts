/**
 * The compliance suite's case about a machine that is saved and goes on as others: by the calls that warm spares use,
 * of a guest that counts in its memory and nowhere else.
 */
import { setTimeout as sleep } from "node:timers/promises";
import type { DomainSpec, Hypervisor, MachineSaving, SpareSpec } from "../../../domain/hypervisor.ts";
import { copyMemory } from "../../../domain/spare/clone.ts";
import type { CapabilityCases } from "../capabilities/run.ts";
import type { Limits } from "./cases.ts";
import { told } from "./guests.ts";
import type { Work } from "./guests.ts";

/** Subjects whose machines can be saved. */
export interface Savable {
  /** A machine without identity or link, and the file that it is saved to. */
  readonly template: (
    name: string,
    work: Work,
    limits: Limits,
  ) => Promise<{ readonly spec: SpareSpec; readonly file: string }>;
  /** The domain of this name that goes on from it: its disk on that of the template, `file` its own. */
  readonly clone: (
    name: string,
    template: SpareSpec,
  ) => Promise<{ readonly spec: DomainSpec; readonly file: string; readonly socket: string }>;
}

/** Milliseconds; a machine is emulated, beside others, on two processors. */
const PATIENCE_MS = 120_000;
const LIMITS: Limits = { memoryMiB: 96, vcpus: 1, diskMiB: 8 };

/** Numbers that a guest counted to before it is saved, and again afterwards. */
const ENOUGH = 5;

/** What a guest counted: its boot, and each number that it said since. */
function counted(consoleLog: string): { readonly boots: readonly string[]; readonly numbers: number[] } {
  const lines = told({ consoleLog }, "count").map((line) => /^([0-9a-f-]{36}) (\d+) so far$/.exec(line));
  const whole = lines.flatMap((line) => (line === null ? [] : [[line[1] ?? "", Number(line[2])] as const]));
  return { boots: [...new Set(whole.map(([boot]) => boot))], numbers: whole.map(([, number]) => number) };
}

async function untilCounted(consoleLog: string): Promise<void> {
  const deadline = performance.now() + PATIENCE_MS;
  while (counted(consoleLog).numbers.length < ENOUGH) {
    if (performance.now() > deadline) throw new Error(`nobody counts on ${consoleLog}`);
    await sleep(50);
  }
}

export function savedCases(
  cases: CapabilityCases,
  name: (suffix: string) => string,
  {
    hypervisor,
    saving,
    savable,
  }: { readonly hypervisor: Hypervisor; readonly saving: MachineSaving; readonly savable: Savable },
): void {
  cases.test("save and restore", "a saved guest goes on as two clones where it was", async (t) => {
    const work: Work = { tasks: ["count"], who: "saved" };
    const { spec: template, file } = await savable.template(name("saved"), work, LIMITS);
    const ready = (): Promise<void> => untilCounted(template.consoleLog);
    await saving.save(template, file, ready, new AbortController().signal);
    t.equal(await hypervisor.state(template.name), "absent", "nothing runs after it was saved");
    const before = counted(template.consoleLog);
    const last = before.numbers.at(-1) ?? 0;
    t.ok(last >= ENOUGH, `it was saved at ${last}`);
    const clones = [];
    for (const suffix of ["left", "right"]) {
      const clone = await savable.clone(name(`saved-${suffix}`), template);
      await copyMemory(file, clone.file, saving.cloneXml(clone.spec, clone.socket));
      await saving.restore(clone.spec, clone.file);
      clones.push(clone.spec);
    }
    for (const { consoleLog } of clones) {
      await untilCounted(consoleLog);
      const { boots, numbers } = counted(consoleLog);
      t.same(boots, before.boots, "the same boot");
      // The number that it was just saying when it was stopped has its end here, and is no line.
      const [first = 0] = numbers;
      t.ok(first > last && first <= last + 2, `after ${last} it says ${first}`);
    }
    const running = clones.map((spec) => ({ name: spec.name, state: "running" }));
    t.same(
      (await hypervisor.list()).toSorted((a, b) => a.name.localeCompare(b.name)),
      running,
    );
    for (const spec of clones) await hypervisor.destroy(spec.name);
    t.same(await hypervisor.list(), []);
  });
}
