/**
 * What every `Hypervisor` must do, held against the fake, a libvirtd in memory, and real ones. Each case belongs to a
 * capability of `capabilities/list.ts`; runs of real ones fill the table of docs/HYPERVISORS.md by their records.
 */
import { existsSync } from "node:fs";
import { setTimeout as sleep } from "node:timers/promises";
import type { Test } from "tap";
import type { DomainEvent, DomainSpec, Hypervisor } from "../../domain/hypervisor.ts";
import { recorderOf } from "./capabilities/run.ts";
import { workingCases } from "./guests/cases.ts";
import type { Working } from "./guests/cases.ts";
import { faultCases } from "./guests/faults.ts";
import type { Faults } from "./guests/faults.ts";
import { orderlyCases } from "./guests/orderly.ts";
import { savedCases } from "./guests/saved.ts";
import type { Savable } from "./guests/saved.ts";

export interface Subject {
  readonly hypervisor: Hypervisor;
  /** A description that can be created; different names never share anything. */
  spec(name: string): Promise<DomainSpec>;
  /** One whose start fails. */
  brokenSpec(name: string): Promise<DomainSpec>;
  /** Ends the domain from inside, as a crash does. */
  crash(name: string): Promise<void>;
  /** Makes a domain that is not ours and that `foreignExists` finds until somebody touches it. */
  addForeign(name: string): Promise<void>;
  foreignExists(name: string): Promise<boolean>;
  /** Whether the hypervisor writes console logs. */
  readonly keepsConsole: boolean;
  /** How starts can be made to fail, and libvirtd killed; the fakes have their own tests of that. */
  readonly faults?: Faults;
  /** Guests that do something; the fakes have none. */
  readonly working?: Working;
  /** Machines that are saved while they do something, where the hypervisor can. */
  readonly savable?: Savable;
  /** Of real ones: what the guests run on, by name and version. They leave a record (`capabilities/record.ts`). */
  readonly versions?: () => Promise<Readonly<Record<string, string>>>;
}

/** Milliseconds for anything to become true; real domains on a busy machine are slow. */
const PATIENCE_MS = 60_000;

async function eventually(what: string, condition: () => boolean | Promise<boolean>): Promise<void> {
  const deadline = performance.now() + PATIENCE_MS;
  while (!(await condition())) {
    if (performance.now() > deadline) throw new Error(`${what} did not come true within ${PATIENCE_MS} ms`);
    await sleep(20);
  }
}

/** Collects events until stopped. */
function listen(hypervisor: Hypervisor): {
  readonly seen: DomainEvent[];
  readonly stop: () => Promise<void>;
} {
  const controller = new AbortController();
  const seen: DomainEvent[] = [];
  const ended = (async () => {
    for await (const event of hypervisor.events(controller.signal)) seen.push(event);
  })();
  const stop = async (): Promise<void> => {
    controller.abort();
    await ended;
  };
  return { seen, stop };
}

/** Names begin with `prefix`, so that nothing else is ever touched. */
export function compliance(t: Test, prefix: string, subject: Subject): void {
  const { hypervisor } = subject;
  const name = (suffix: string): string => `${prefix}-${suffix}`;
  const listed = async (): Promise<string[]> => (await hypervisor.list()).map((domain) => domain.name);
  const cases = recorderOf(t, subject);
  const { test } = cases;

  test(
    "define, start, stop",
    "a domain is created, listed and destroyed; doing so again changes nothing",
    async (t) => {
      const spec = await subject.spec(name("life"));
      t.equal(await hypervisor.state(spec.name), "absent");
      await hypervisor.create(spec);
      t.equal(await hypervisor.state(spec.name), "running");
      await hypervisor.create(spec);
      t.match(await hypervisor.list(), [{ name: spec.name, state: "running" }]);
      await hypervisor.destroy(spec.name);
      t.equal(await hypervisor.state(spec.name), "absent");
      await hypervisor.destroy(spec.name);
      t.same(await listed(), []);
    },
  );

  test("kill", "a domain that ends by itself is stopped, and can be created anew", async (t) => {
    const spec = await subject.spec(name("crash"));
    await hypervisor.create(spec);
    await subject.crash(spec.name);
    await eventually("stopping", async () => (await hypervisor.state(spec.name)) === "stopped");
    await hypervisor.create(await subject.spec(spec.name));
    t.equal(await hypervisor.state(spec.name), "running");
    await hypervisor.destroy(spec.name);
    t.same(await listed(), []);
  });

  test("cleans up", "a failed create leaves nothing", async (t) => {
    const broken = await subject.brokenSpec(name("broken"));
    await t.rejects(hypervisor.create(broken), { code: /^E_(LIBVIRT|DOMAIN)$/ });
    t.equal(await hypervisor.state(broken.name), "absent");
    t.same(await listed(), []);
    await hypervisor.create(await subject.spec(broken.name));
    await hypervisor.destroy(broken.name);
  });

  test("refuses nonsense", "a wrong description is refused with E_DOMAIN, and nothing is made", async (t) => {
    const spec = await subject.spec(name("wrong"));
    const wrong = [
      { name: "Upper Case" },
      { name: "../escape" },
      { memoryMiB: 0 },
      { vcpus: 1.5 },
      { consoleLog: "x" },
    ];
    for (const change of wrong)
      await t.rejects(hypervisor.create({ ...spec, ...change }), { code: "E_DOMAIN" });
    t.same(await listed(), []);
  });

  test("foreign domains", "domains of others are neither seen nor touched", async (t) => {
    const foreign = name("foreign");
    await subject.addForeign(foreign);
    t.same(await listed(), []);
    t.equal(await hypervisor.state(foreign), "absent");
    await t.rejects(hypervisor.destroy(foreign), { code: "E_DOMAIN" });
    await t.rejects(hypervisor.create(await subject.spec(foreign)), { code: "E_DOMAIN" });
    t.equal(await subject.foreignExists(foreign), true);
  });

  if (subject.keepsConsole) {
    test("console", "its console log is kept when the domain is gone", async (t) => {
      const spec = await subject.spec(name("console"));
      await hypervisor.create(spec);
      await hypervisor.destroy(spec.name);
      t.ok(existsSync(spec.consoleLog));
    });
  }

  test("one at a time", "calls about one name take turns", async (t) => {
    const spec = await subject.spec(name("turns"));
    await Promise.all([hypervisor.create(spec), hypervisor.create(spec)]);
    t.equal(await hypervisor.state(spec.name), "running");
    await Promise.all([hypervisor.destroy(spec.name), hypervisor.destroy(spec.name)]);
    t.same(await listed(), []);
  });

  test("one at a time", "an aborted create leaves nothing", async (t) => {
    const spec = await subject.spec(name("aborted"));
    const controller = new AbortController();
    controller.abort();
    await t.rejects(hypervisor.create(spec, controller.signal), { name: "AbortError" });
    t.same(await listed(), []);
  });

  test("events", "events begin with what is there and tell every change once", async (t) => {
    const spec = await subject.spec(name("events"));
    await hypervisor.create(spec);
    const { seen, stop } = listen(hypervisor);
    const states = (): string[] =>
      seen.filter((event) => event.name === spec.name).map((event) => event.state);
    await eventually("the present state", () => states().length === 1);
    await subject.crash(spec.name);
    await eventually("the crash", () => states().length === 2);
    await hypervisor.destroy(spec.name);
    await hypervisor.create(await subject.spec(spec.name));
    await hypervisor.destroy(spec.name);
    await eventually("the rest", () => states().length === 6);
    t.same(states(), ["running", "stopped", "absent", "running", "stopped", "absent"]);
    await stop();
  });
  const { saving } = hypervisor;
  if (saving === undefined)
    cases.notApplicable("save and restore", "what runs there cannot be saved, or nobody has tried");
  else if (subject.savable !== undefined)
    savedCases(cases, name, { hypervisor, saving, savable: subject.savable });
  const { faults } = subject;
  const spec = (domain: string): Promise<DomainSpec> => subject.spec(domain);
  if (faults !== undefined) faultCases(cases, name, { hypervisor, spec, faults });
  orderlyCases(cases, name, subject);
  if (subject.working !== undefined) workingCases(cases, name, { hypervisor, working: subject.working });
}
