/** The compliance suite's cases about starts that fail, at every step, and about a libvirtd that is killed meanwhile. */
import { setTimeout as sleep } from "node:timers/promises";
import type { DomainSpec, Hypervisor } from "../../../domain/hypervisor.ts";
import type { CapabilityCases } from "../capabilities/run.ts";

export interface Faults {
  /** Descriptions whose start fails, by what is wrong with them. */
  readonly broken: Readonly<Record<string, (spec: DomainSpec) => DomainSpec>>;
  /** Processes that bear the domain's name; none when it is gone. */
  readonly residue: (name: string) => readonly string[];
  /** Kills libvirtd, which is started again within a moment, and waits until it listens. */
  readonly killLibvirtd: () => Promise<void>;
}

/** Tries of what fails because libvirtd was killed; the life cycle has as many. */
const TRIES = 5;

export function faultCases(
  cases: CapabilityCases,
  name: (suffix: string) => string,
  {
    hypervisor,
    spec,
    faults,
  }: {
    readonly hypervisor: Hypervisor;
    readonly spec: (name: string) => Promise<DomainSpec>;
    readonly faults: Faults;
  },
): void {
  const nothingOf = async (domain: string): Promise<readonly string[]> => {
    // A killed process takes a moment to vanish.
    for (let tries = 0; tries < 200 && faults.residue(domain).length > 0; tries++) await sleep(50);
    return faults.residue(domain);
  };

  for (const [what, breakIt] of Object.entries(faults.broken)) {
    cases.test("cleans up", `after a start with ${what}`, async (t) => {
      const whole = await spec(name("fault"));
      await t.rejects(hypervisor.create(breakIt(whole)), { code: /^E_(LIBVIRT|DOMAIN)$/ });
      t.equal(await hypervisor.state(whole.name), "absent");
      t.same(await nothingOf(whole.name), []);
    });
  }

  cases.test(
    "libvirtd killed",
    "while a domain starts, and while it ends: it does, and nothing is left",
    async (t) => {
      /** A start that was cut off may have taken the link along, so the description is made anew. */
      const start = async (): Promise<string> => {
        for (let tries = 1; ; tries++) {
          const whole = await spec(name("torn"));
          try {
            await hypervisor.create(whole);
            return whole.name;
          } catch (error) {
            const { code = "" } = error as { readonly code?: string };
            if (!["E_LIBVIRT", "E_NO_LIBVIRT"].includes(code) || tries === TRIES) throw error;
          }
        }
      };
      for (const pauseMs of [0, 200]) {
        const starting = start();
        await sleep(pauseMs);
        await Promise.all([starting, faults.killLibvirtd()]);
        const domain = await starting;
        t.equal(await hypervisor.state(domain), "running");
        const ending = hypervisor.destroy(domain);
        await sleep(pauseMs);
        await Promise.all([ending, faults.killLibvirtd()]);
        t.equal(await hypervisor.state(domain), "absent");
        t.same(await nothingOf(domain), []);
      }
    },
  );
}
