/** A short soak of the real proxy process finds nothing; the same soak finds a planted leak. */
import { existsSync } from "node:fs";
import { join } from "node:path";
import t from "tap";
import { soak } from "../../soak/soak.ts";
import { leaks } from "../../soak/verdicts.ts";

const MODULE = join(import.meta.dirname, "../../dist/soak/module.js");
const SPEED = 144;

if (!existsSync(MODULE)) t.plan(0, "needs the built bench: npm run build");
else run();

function run(): void {
  const signal = new AbortController().signal;

  t.test("storms leave nothing behind", async (t) => {
    const say = (line: string): void => t.comment(line);
    const figures = await soak({ service: "http", cycles: 5, stormMs: 2_000, speed: SPEED, signal, say });
    t.same(leaks(figures.rests, figures.peakBytes), []);
    t.equal(figures.tally.wrong, 0);
    t.ok(figures.tally.answered > 0);
    t.ok(figures.versionChanges > 0);
  });

  t.test("a connection's worth kept per connection is found", async (t) => {
    const say = (line: string): void => t.comment(line);
    const figures = await soak({ service: "leaky", cycles: 3, stormMs: 1_000, speed: SPEED, signal, say });
    t.match(leaks(figures.rests, figures.peakBytes)[0], /heap at rest grows/);
  });
}
