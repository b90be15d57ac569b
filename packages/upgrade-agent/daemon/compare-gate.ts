/** What comparing two versions has shown, and whether it is good enough for giving the older one up. */
import { faultsOfGate, type CompareGate } from "@version-manager/app-proxy/compare";
import type { CompareStatus } from "../api/contract.ts";
import { AgentError } from "../errors.ts";
import type { Journal } from "../journal/journal.ts";
import { servesClients } from "../lifecycle/stages.ts";
import type { ProxySupervisor } from "../proxy/index.ts";
import type { Manifest } from "../release/contract.ts";

export interface CompareGateOptions {
  readonly journal: Pick<Journal, "upgrades">;
  readonly proxies: Pick<ProxySupervisor, "comparisons">;
  readonly manifestOf: (version: { readonly service: string; readonly version: number }) => Promise<Manifest>;
}

/** Throws E_NO_VERSION when no version serves clients here, E_PROXY when the proxy answers nonsense. */
export async function compareStatus(options: CompareGateOptions, service: string): Promise<CompareStatus> {
  const { journal, manifestOf, proxies } = options;
  const serving = journal.upgrades().filter((row) => row.service === service && servesClients(row.stage));
  const newest = serving.at(-1);
  if (newest === undefined) {
    throw new AgentError("E_NO_VERSION", `No version of ${service} serves clients on this node.`);
  }
  const gate = gateOf(await manifestOf(newest));
  const comparisons = (await proxies.comparisons(service)) ?? [];
  const ofNewest = comparisons.filter(({ candidate }) => candidate === newest.version);
  return {
    service,
    candidate: newest.version,
    faults: gate === undefined ? [] : faultsOfGate(gate, ofNewest),
    comparisons,
    ...(gate === undefined ? {} : { gate }),
  };
}

function gateOf({ proxy }: Manifest): CompareGate | undefined {
  if (proxy?.compare === undefined) return undefined;
  const { differencesPerMillionMax, requestsMin, confidencePercent } = proxy.compare;
  return {
    maxDifferenceRate: differencesPerMillionMax / 1_000_000,
    minRequests: requestsMin,
    confidence: confidencePercent / 100,
  };
}

/** Throws E_COMPARE_GATE when the release of a newer version asks for more than was seen. */
export async function checkCompareGate(
  options: CompareGateOptions,
  retired: { readonly service: string; readonly version: number },
): Promise<void> {
  const { service, version } = retired;
  const serving = options.journal
    .upgrades()
    .filter((row) => row.service === service && servesClients(row.stage));
  // Where the version does not serve beside a newer one, there is nothing to compare; other checks speak up.
  if (!serving.some((row) => row.version === version) || serving.at(-1)?.version === version) return;
  const { faults } = await compareStatus(options, service);
  if (faults.length === 0) return;
  throw new AgentError(
    "E_COMPARE_GATE",
    `${service} ${version} is not given up yet: ${faults.join("; ")}. See 'vm-upgrade compare ${service}', or use --force.`,
  );
}
