/** The compliance suite's cases that need a guest which does something: its limits, its disk, its link, its console. */
import { readFileSync, statSync } from "node:fs";
import { dirname } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import type { Test } from "tap";
import { boundConsoleLogs, cutConsoleLog } from "../../../domain/console-bound.ts";
import type { DomainSpec, Hypervisor } from "../../../domain/hypervisor.ts";
import type { CapabilityCases } from "../capabilities/run.ts";
import { BASE_MARK, told } from "./guests.ts";
import type { Passed, Router } from "./router.ts";
import type { Work } from "./guests.ts";

export interface Limits {
  readonly memoryMiB: number;
  readonly vcpus: number;
  readonly diskMiB: number;
  readonly diskMiBPerS?: number;
  /** Heeded where there is a router. */
  readonly networkMbitPerS?: number;
}

/** Subjects whose guests can work. */
export interface Working {
  readonly spec: (name: string, work: Work, limits: Limits) => Promise<DomainSpec>;
  /** Whether a guest sees its processors; else it sees all of the host's and gets the time of so many. */
  readonly seesVcpus: boolean;
  /** Why reading and writing cannot be slowed down, where that is so. */
  readonly noDiskRate?: string;
  /** Whose links the guests have; without it they have plain ones, which nothing bounds. */
  readonly router?: Router;
  /** Bytes that the guest's private disk takes of the host. */
  readonly diskBytes: (name: string) => number;
  /** The mark at the beginning of the base that all guests share. */
  readonly baseMark: () => string;
}

/** Milliseconds; a machine is emulated, beside others, on two processors. */
const PATIENCE_MS = 120_000;

const LIMITS: Limits = { memoryMiB: 96, vcpus: 1, diskMiB: 48 };

/** Slower than any guest: an emulated one copies at tens of Mbit/s. */
const NETWORK_MBIT_PER_S = 2;
/** May pass at once, however long nothing has; see the router's rate.h. */
const BURST_BYTES = 256 * 1024;
const WINDOW_MS = 1500;

/** MiB that a disk may take besides what the guest wrote: tables of qcow2 or ext4. */
const TABLES_MIB = 4;

/** Bytes that a console log may have here; emulated serial ports carry some hundred KiB/s. */
const CONSOLE_BYTES = 256 * 1024;

async function until(spec: DomainSpec, word: string): Promise<void> {
  const deadline = performance.now() + PATIENCE_MS;
  while (told(spec, word).length === 0) {
    if (performance.now() > deadline) throw new Error(`${spec.name} did not say ${word}`);
    await sleep(50);
  }
}

/** Numbers that the guest told after a word. */
function numbers(spec: DomainSpec, word: string): number[] {
  return (told(spec, word)[0] ?? "").split(" ").filter(Boolean).map(Number);
}

/** What passed in a while, and what may have at the rate. */
async function listen(router: Router, spec: DomainSpec): Promise<Passed & { readonly allowed: number }> {
  const startedMs = performance.now();
  const before = router.passed(spec);
  await sleep(WINDOW_MS);
  const after = router.passed(spec);
  const bytesPerMs = NETWORK_MBIT_PER_S * 125;
  return {
    sent: after.sent - before.sent,
    received: after.received - before.received,
    allowed: BURST_BYTES + bytesPerMs * (performance.now() - startedMs),
  };
}

/** Both directions of a guest that talks without end. */
async function rateCase(t: Test, router: Router, spec: DomainSpec): Promise<void> {
  const deadline = performance.now() + PATIENCE_MS;
  const eventually = async (what: string, condition: () => boolean | Promise<boolean>): Promise<void> => {
    while (!(await condition())) {
      if (performance.now() > deadline) throw new Error(`${what} within ${PATIENCE_MS} ms`);
      await sleep(100);
    }
  };
  await eventually("frames are dropped", async () => (await router.dropped(spec)) > 0);
  const { sent, received, allowed } = await listen(router, spec);
  t.ok(sent <= allowed, `sent ${sent} bytes, allowed ${allowed.toFixed(0)}`);
  t.ok(received <= allowed, `received ${received} bytes, allowed ${allowed.toFixed(0)}`);
  const some = 64 * 1024;
  await eventually("both ways pass", () => Object.values(router.passed(spec)).every((bytes) => bytes > some));
  await router.free(spec);
  const free = { sent: false, received: false };
  await eventually("it is faster without", async () => {
    const { sent, received, allowed } = await listen(router, spec);
    free.sent ||= sent > allowed;
    free.received ||= received > allowed;
    return free.sent && free.received;
  });
  t.same(free, { sent: true, received: true }, "without a rate it sends and receives more");
}

export function workingCases(
  cases: CapabilityCases,
  name: (suffix: string) => string,
  { hypervisor, working }: { readonly hypervisor: Hypervisor; readonly working: Working },
): void {
  const run = async (suffix: string, tasks: Work["tasks"], limits = LIMITS): Promise<DomainSpec> => {
    const spec = await working.spec(name(suffix), { tasks, who: suffix }, limits);
    await hypervisor.create(spec);
    await until(spec, "done");
    return spec;
  };
  /** One guest for several cases, because machines take their time. */
  let shared: Promise<DomainSpec> | undefined;
  const worked = (): Promise<DomainSpec> =>
    (shared ??= run("worker", ["facts", "spin", "read16", "fillup", "hog", "talk"], {
      ...LIMITS,
      networkMbitPerS: NETWORK_MBIT_PER_S,
    }));

  cases.test("own link", "the guest's only interface is its link", async (t) => {
    const spec = await worked();
    t.same(told(spec, "link"), [spec.identity.link.mac]);
  });

  cases.test(
    "memory limit",
    "a guest that takes all memory is stopped in that; it goes on, and so do we",
    async (t) => {
      const spec = await worked();
      if (working.seesVcpus) t.ok((numbers(spec, "memory")[0] ?? Infinity) <= LIMITS.memoryMiB * 1024);
      t.match(told(spec, "hog"), [/^(?!0)\d+$/], "the program that took it was ended");
      t.equal(await hypervisor.state(spec.name), "running");
    },
  );

  cases.test("vCPU limit", "three busy loops get the time of one processor", async (t) => {
    const spec = await worked();
    if (working.seesVcpus) {
      // What such a guest believes of time is of no use: on a busy machine an emulated clock loses ticks.
      t.equal(numbers(spec, "cpus")[0], LIMITS.vcpus);
      return;
    }
    const [, minutes, seconds, kernelMinutes, kernelSeconds, passed] =
      /^(\d+)m([\d.]+)s (\d+)m([\d.]+)s (\d+)$/.exec(told(spec, "spin")[0] ?? "")?.map(Number) ?? [];
    const used =
      (minutes ?? NaN) * 60 + (seconds ?? NaN) + (kernelMinutes ?? NaN) * 60 + (kernelSeconds ?? NaN);
    const share = used / ((passed ?? NaN) / 100);
    t.ok(share > 0 && share < LIMITS.vcpus * 1.5, `they got ${share.toFixed(2)} processors`);
  });

  const { router } = working;
  if (router !== undefined)
    cases.test(
      "network rate",
      "what talks as fast as it can is heard at its rate, until it has none",
      async (t) => rateCase(t, router, await worked()),
    );

  cases.test(
    "disk size",
    "a guest that fills its disk gets an error, and the host keeps the rest",
    async (t) => {
      const spec = await worked();
      t.match(told(spec, "fill"), [/^1 No space left/]);
      const bytes = working.diskBytes(spec.name);
      t.ok(bytes > (LIMITS.diskMiB / 2) * 1024 ** 2, `${bytes} bytes: it did write`);
      t.ok(bytes <= (LIMITS.diskMiB + TABLES_MIB) * 1024 ** 2, `${bytes} bytes on the host`);
      await hypervisor.destroy(spec.name);
    },
  );

  cases.test(
    "private disk",
    "two guests of one base write, each sees its own, and the base stays",
    async (t) => {
      const specs = await Promise.all(["left", "right"].map((side) => run(side, ["mark"])));
      for (const [spec, side] of [
        [specs[0], "left"],
        [specs[1], "right"],
      ] as const) {
        if (spec === undefined) throw new Error("there are two sides");
        t.same(told(spec, "before"), [BASE_MARK]);
        t.same(told(spec, "after"), [side]);
        await hypervisor.destroy(spec.name);
      }
      t.equal(working.baseMark(), BASE_MARK);
    },
  );

  cases.test(
    "console bound",
    "the log of a guest that prints without end is cut, again and again",
    async (t) => {
      const spec = await working.spec(name("flood"), { tasks: ["flood"], who: "flood" }, LIMITS);
      const controller = new AbortController();
      const bounding = boundConsoleLogs(dirname(spec.consoleLog), controller.signal, CONSOLE_BYTES);
      await hypervisor.create(spec);
      const cut = (): boolean => readFileSync(spec.consoleLog, "latin1").includes("of this console were cut");
      const deadline = performance.now() + PATIENCE_MS;
      while (!cut() && performance.now() < deadline) await sleep(50);
      t.equal(cut(), true);
      const { size } = statSync(spec.consoleLog);
      while (statSync(spec.consoleLog).size === size && performance.now() < deadline) await sleep(50);
      t.not(statSync(spec.consoleLog).size, size, "and the guest prints on into what is left of it");
      await hypervisor.destroy(spec.name);
      controller.abort();
      await bounding;
      await cutConsoleLog(spec.consoleLog, CONSOLE_BYTES);
      t.ok(statSync(spec.consoleLog).size <= CONSOLE_BYTES);
    },
  );

  if (working.noDiskRate === undefined) {
    cases.test("disk rate", "reading takes the time that its rate gives it", async (t) => {
      const spec = await run("slow", ["read16"], { ...LIMITS, diskMiBPerS: 8 });
      const ms = numbers(spec, "read")[0] ?? 0;
      t.ok(ms >= 1000, `16 MiB at 8 MiB/s took ${ms} ms: never less than half of what they should`);
      await hypervisor.destroy(spec.name);
    });
  } else cases.notApplicable("disk rate", working.noDiskRate);
}
