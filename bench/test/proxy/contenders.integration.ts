/** Every contender stands up and answers a second of load without an error, and nothing is left of any. */
import { existsSync, readdirSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import t from "tap";
import type * as Contenders from "../../proxy/contenders.ts";
import type * as Machines from "../../proxy/machines.ts";
import type * as Probes from "../../proxy/probes.ts";
import type * as NamespacesOf from "../../router/namespaces.ts";

/** What is built: the processes that it starts are compiled files beside it. */
const DIST = join(import.meta.dirname, "../../dist");
const PROGRAMS = ["nginx", "haproxy", "wrk"] as const;

const missing = PROGRAMS.filter(
  (name) => !["/usr/sbin", "/usr/bin"].some((at) => existsSync(join(at, name))),
);
if (process.getuid?.() !== 0) t.plan(0, "needs root for network namespaces");
else if (!existsSync(join(DIST, "proxy"))) t.plan(0, "needs the built bench: npm run build");
else if (missing.length > 0) t.plan(0, `needs ${missing.join(", ")}: run scripts/bench proxy --quick once`);
else run();

function load<Module>(file: string): Promise<Module> {
  return import(join(DIST, file)) as Promise<Module>;
}

function run(): void {
  t.test("contenders", async (t) => {
    const { CONTENDERS, startPath } = await load<typeof Contenders>("proxy/contenders.js");
    const { layKernel, layPlain } = await load<typeof Machines>("proxy/machines.js");
    const { warmUp } = await load<typeof Probes>("proxy/probes.js");
    const { Namespaces } = await load<typeof NamespacesOf>("router/namespaces.js");
    const { signal } = new AbortController();
    const namespaces = await Namespaces.open();
    try {
      const ground = { plain: await layPlain(namespaces), kernel: await layKernel(namespaces) };
      for (const name of CONTENDERS) {
        const path = await startPath(namespaces, ground, name);
        await t.resolves(warmUp(namespaces, path, signal), name);
      }
    } finally {
      await namespaces.close();
    }
    const left = [...readdirSync("/run/netns"), ...readdirSync(tmpdir())];
    t.same(
      left.filter((name) => name.startsWith(`vmbr-${process.pid}-`)),
      [],
    );
  });
}
