/** The compliance suite's cases about asking a domain to end by itself. */
import { setTimeout as sleep } from "node:timers/promises";
import type { DomainSpec, Hypervisor } from "../../../domain/hypervisor.ts";
import type { CapabilityCases } from "../capabilities/run.ts";
import type { Limits, Working } from "./cases.ts";
import { told } from "./guests.ts";

export interface Orderly {
  readonly hypervisor: Hypervisor;
  /** A guest that ends when it is asked to, where none does any work. */
  readonly spec: (name: string) => Promise<DomainSpec>;
  readonly addForeign: (name: string) => Promise<void>;
  readonly working?: Working;
  /** Only real hypervisors have it; those whose guests do nothing have none that could end by itself. */
  readonly versions?: unknown;
}

/** Milliseconds; an emulated guest on a busy machine takes its time. */
const deadlineMs = 60_000;
/** For guests that do not listen: as long as libvirt needs to ask at least once. */
const deafDeadlineMs = 1_500;
const limits: Limits = { memoryMiB: 96, vcpus: 1, diskMiB: 8 };

export function orderlyCases(
  cases: CapabilityCases,
  name: (suffix: string) => string,
  { hypervisor, working, spec, addForeign, versions }: Orderly,
): void {
  cases.test("orderly shutdown", "what is absent has ended; what is foreign is refused", async (t) => {
    t.equal(await hypervisor.shutdown(name("nobody"), { deadlineMs }), true);
    await addForeign(name("unasked"));
    await t.rejects(hypervisor.shutdown(name("unasked"), { deadlineMs }), { code: "E_DOMAIN" });
  });

  if (working === undefined && versions !== undefined) return;
  if (working === undefined) {
    cases.test("orderly shutdown", "a domain that is asked ends, and stays defined", async (t) => {
      const asked = await spec(name("asked"));
      await hypervisor.create(asked);
      t.equal(await hypervisor.shutdown(asked.name, { deadlineMs }), true);
      t.equal(await hypervisor.state(asked.name), "stopped");
      await hypervisor.destroy(asked.name);
    });
    return;
  }

  const start = async (suffix: string, task: "heed" | "facts"): Promise<DomainSpec> => {
    const guest = await working.spec(name(suffix), { tasks: [task], who: suffix }, limits);
    await hypervisor.create(guest);
    for (let waitedMs = 0; told(guest, "done").length === 0; waitedMs += 50) {
      if (waitedMs > 2 * deadlineMs) throw new Error(`${guest.name} does not work`);
      await sleep(50);
    }
    return guest;
  };

  cases.test("orderly shutdown", "a guest that is asked ends its work, and stays defined", async (t) => {
    const guest = await start("asked", "heed");
    t.equal(await hypervisor.shutdown(guest.name, { deadlineMs }), true);
    t.equal(await hypervisor.state(guest.name), "stopped");
    // On a busy machine it is asked again before it has ended.
    t.same([...new Set(told(guest, "heeds"))], ["the request"], "by itself");
    await hypervisor.destroy(guest.name);
  });

  cases.test("orderly shutdown", "one that does not listen runs on after the deadline", async (t) => {
    const guest = await start("deaf", "facts");
    t.equal(await hypervisor.shutdown(guest.name, { deadlineMs: deafDeadlineMs }), false);
    t.equal(await hypervisor.state(guest.name), "running");
    await hypervisor.destroy(guest.name);
    t.equal(await hypervisor.state(guest.name), "absent");
  });
}
