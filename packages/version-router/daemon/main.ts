#!/usr/bin/env node
/** `vm-router`: reads arguments and configuration, chooses the data path, starts the daemon. */
import { rm } from "node:fs/promises";
import yargs from "yargs";
import { probeKernelDataPath } from "../datapath/kernel/index.ts";
import { probeRelayDataPath } from "../datapath/relay/index.ts";
import { CodedError, RouterError } from "../errors.ts";
import { chooseDataPath, destroyDataPaths } from "./choose-data-path.ts";
import { loadConfig } from "./config.ts";
import { startDaemon } from "./daemon.ts";
import { claimSocketPath } from "./listen.ts";

const DEFAULT_CONFIG = "/etc/version-manager/router.json";
const GATEWAY_ADDRESS = "169.254.1.1";
const EXIT = { done: 0, failed: 1, usage: 2 } as const;

function parseArguments(argv: readonly string[]) {
  return yargs(argv)
    .scriptName("vm-router")
    .usage(
      "$0 [options]\n\nCarries the traffic of all versions of this node's services, each to its own kind.",
    )
    .option("config", { type: "string", default: DEFAULT_CONFIG, describe: "Configuration file, JSON" })
    .option("check", { type: "boolean", describe: "Say what this machine lacks for the data path, and exit" })
    .option("destroy", { type: "boolean", describe: "Remove every program, pin and link, and exit" })
    .option("json", { type: "boolean", describe: "With --check: print JSON" })
    .conflicts("check", "destroy")
    .example("$0", `Run with ${DEFAULT_CONFIG} until SIGTERM; eBPF keeps packets flowing after it`)
    .example("$0 --config ./router.json", "Run with another configuration")
    .example("$0 --check", "See which data paths this machine can carry")
    .example("$0 --destroy", "Leave nothing of the router on this machine")
    .epilogue(
      "The configuration needs `uplink` and `serviceAddress`; `serviceAddress6` adds IPv6; `peers`, `dataPath`, `pinDirectory`, `socket`, `gatewayPort`, " +
        "`exchangePort` and `exchangeIntervalMs` have defaults.\n" +
        "Exit status: 0 done, 1 failed, 2 wrong usage or configuration. Errors begin with a stable code.",
    )
    .strict()
    .demandCommand(0, 0)
    .version(false)
    .wrap(100)
    .exitProcess(false)
    .fail((message, error) => {
      throw new UsageError("E_BAD_REQUEST", `${message || error.message} See vm-router --help.`);
    })
    .parseAsync();
}

class UsageError extends RouterError {}

async function main(argv: readonly string[]): Promise<number> {
  const options = await parseArguments(argv);
  // yargs has printed the help already.
  if (argv.includes("--help")) return EXIT.done;
  if (options.check === true) return check(options.json === true);
  const config = await loadConfig(options.config).catch((error: unknown) => {
    throw error instanceof RouterError ? new UsageError(error.code, error.message, error.cause) : error;
  });
  if (options.destroy === true) {
    await claimSocketPath(config.socket);
    await destroyDataPaths(config);
    await rm(`${config.socket}.state.json`, { force: true });
    return EXIT.done;
  }
  const { dataPath, reason } = await chooseDataPath(config);
  const daemon = await startDaemon({
    config,
    dataPath,
    dataPathReason: reason,
    log,
    random: Math.random,
    gatewayAddress: GATEWAY_ADDRESS,
    // Never steps back, unlike the wall clock.
    nowMs: () => Math.round(performance.timeOrigin + performance.now()),
  });
  log(`ready at ${config.socket}, on the ${dataPath.kind} data path: ${reason}`);
  const signal = await new Promise<string>((resolve) => {
    for (const name of ["SIGTERM", "SIGINT"] as const) process.once(name, resolve);
  });
  log(`closing on ${signal}${dataPath.kind === "kernel" ? "; packets keep flowing" : ""}`);
  await daemon.close();
  return EXIT.done;
}

/** Succeeds when the machine can carry either. */
async function check(asJson: boolean): Promise<number> {
  const kernel = await probeKernelDataPath();
  const relay = await probeRelayDataPath();
  const ok = kernel.ok || relay.ok;
  if (asJson) {
    process.stdout.write(
      `${JSON.stringify({ ok, dataPath: kernel.ok ? "kernel" : "relay", kernel, relay })}\n`,
    );
    return ok ? EXIT.done : EXIT.failed;
  }
  for (const [name, probe] of Object.entries({ kernel, relay })) {
    if (probe.ok) process.stdout.write(`This machine can carry the ${name} data path.\n`);
    for (const { what, mend } of probe.missing)
      process.stdout.write(`missing for the ${name} data path: ${what}; mend it: ${mend}\n`);
  }
  return ok ? EXIT.done : EXIT.failed;
}

function log(message: string): void {
  process.stderr.write(`${new Date().toISOString()} vm-router: ${message}\n`);
}

try {
  process.exitCode = await main(process.argv.slice(2));
} catch (error) {
  if (!(error instanceof CodedError)) throw error;
  process.stderr.write(`vm-router: ${error.code}: ${error.message}\n`);
  process.exitCode = error instanceof UsageError ? EXIT.usage : EXIT.failed;
}
