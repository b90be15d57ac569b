/** `scripts/demo`: the product's main job on one machine, shown as it happens. */
import {
  createScreen,
  fleetScreen,
  styleFor,
  type NodeDigest,
  type Screen,
} from "@version-manager/upgrade-agent";
import { ClientLoad } from "./client-load.ts";
import { type DemoOptions, help, parseOptions } from "./options.ts";
import { bringUp, buildImage, packReleases, type Releases, type Say, takeDown } from "./prepare.ts";
import { type DemoReport, lastLine, summary } from "./report.ts";
import { upgradeRolling } from "./rolling.ts";
import { type Scene, upgradeSimultaneously } from "./simultaneous.ts";
import { testbedName } from "./fleet.ts";

/** With --json standard output is for the report alone. */
function stageOf(options: DemoOptions): NodeJS.WriteStream {
  return options.json ? process.stderr : process.stdout;
}

async function demonstrate(options: DemoOptions, stream: NodeJS.WriteStream, say: Say): Promise<DemoReport> {
  const screen = createScreen(stream);
  const sayBelow: Say = (line) => {
    screen.release();
    say(line);
  };
  let releases: Releases | undefined;
  let load: ClientLoad | undefined;
  try {
    await buildImage(say);
    releases = await packReleases(say);
    const fleet = await bringUp(options, releases, say);
    say(`clients begin: ${options.rate} requests/s over ${fleet.urls.length} nodes`);
    load = await ClientLoad.start(testbedName, fleet.urls, options.rate);
    const onLook = watcher(stream, screen, load);
    const scene: Scene = { fleet, load, releases, say: sayBelow, onLook, kill: options.kill };
    return await (options.rolling ? upgradeRolling(scene) : upgradeSimultaneously(scene));
  } finally {
    await load?.close();
    await takeDown(releases, options.keep);
  }
}

/** The watch screen, with the clients' newest figures below; without a terminal only what changed. */
function watcher(stream: NodeJS.WriteStream, screen: Screen, load: ClientLoad) {
  const style = styleFor(stream, process.env);
  let lastStages = "";
  return (digests: readonly NodeDigest[]) => {
    const stages = JSON.stringify(digests.map((node) => node.versions.map((row) => row.stage)));
    if (!stream.isTTY && stages === lastStages) return;
    lastStages = stages;
    const clients = `clients: ${load.last?.requests ?? 0} requests, ${load.last?.failed ?? 0} failed`;
    screen.draw([
      ...fleetScreen(digests, { now: Date.now(), columns: stream.columns ?? 110, style }),
      clients,
      "",
    ]);
  };
}

async function main(): Promise<void> {
  const options = parseOptions(process.argv.slice(2));
  if (options === "help") {
    process.stdout.write(`${help}\n`);
    return;
  }
  const stream = stageOf(options);
  const say: Say = (line) => stream.write(`${line}\n`);
  const report = await demonstrate(options, stream, say);
  for (const line of summary(report)) say(line);
  if (options.json) process.stdout.write(`${JSON.stringify(report)}\n`);
  else say(lastLine(report));
  const isolated = report.mode === "rolling" || report.isolation.every((proof) => proof.onlyItsOwnKind);
  process.exitCode = report.failed === 0 && report.upgraded === report.nodes && isolated ? 0 : 1;
}

try {
  await main();
} catch (error) {
  process.stderr.write(`demo: ${error instanceof Error ? error.message : String(error)}\n`);
  process.exitCode = error instanceof RangeError ? 2 : 1;
}
