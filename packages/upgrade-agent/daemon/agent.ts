/** The agent: its parts put together, and its answers to the local API and to other nodes. */
import type { RouterControl } from "@version-manager/version-router";
import { AgentError } from "../errors.ts";
import type {
  AgentApi,
  CompareStatus,
  FleetStatus,
  NodeStatus,
  SeedRequest,
  VersionStatus,
} from "../api/contract.ts";
import { boundConsoleLogs } from "../domain/console-bound.ts";
import { ProxyWatch } from "../events/proxy-watch.ts";
import { addresses6, type NodeDigest } from "../fleet/view.ts";
import type { LoggedLine } from "../journal/said.ts";
import type { Hint } from "../lifecycle/discovery.ts";
import type { Upgrade } from "../lifecycle/machine.ts";
import { Runner } from "../lifecycle/runner.ts";
import { servesClients } from "../lifecycle/stages.ts";
import { ensureProxy } from "../lifecycle/works/clients.ts";
import { domainName, otherNodes, type Progress, type WorkContext } from "../lifecycle/works/context.ts";
import { works } from "../lifecycle/works/index.ts";
import { cleanUp } from "../lifecycle/works/retire.ts";
import { manifestOf } from "../lifecycle/works/software.ts";
import type { Envelope } from "../release/contract.ts";
import { checkCompareGate, compareStatus, type CompareGateOptions } from "./compare-gate.ts";
import { nodeDigest, versionStatus } from "./digest.ts";
import { News } from "./news.ts";
import { Retirements } from "./retirement.ts";
import { policyOf, RouterSync } from "./router-sync.ts";
import { Services } from "./services.ts";

/** All that the agent cannot make itself; `main.ts` supplies the real things. */
export interface AgentOptions {
  /** Its router waits for one that is away; works must not fail for a restart. */
  readonly context: Omit<WorkContext, "fleet" | "reportProgress" | "note">;
  /** Answers or fails at once: what is told every second is told again anyway. */
  readonly router: RouterControl;
  readonly now: () => number;
  readonly random: () => number;
  readonly pid: number;
  readonly log: (line: string) => void;
}

const syncEveryMs = 1_000;
const proxyEventsShown = 20;
/** Of the lines in one answer; with JSON around them they stay below what clients read. */
const logCharactersMax = 4 * 1024 * 1024;

export class Agent implements AgentApi {
  readonly #options: AgentOptions;
  readonly #context: WorkContext;
  readonly #runner: Runner;
  readonly #news: News;
  readonly #retirements: Retirements;
  readonly #sync: RouterSync;
  readonly #services: Services;
  readonly #proxyWatch: ProxyWatch;
  readonly #gate: CompareGateOptions;
  readonly #progress = new Map<string, Progress>();
  readonly #labels = new Map<string, string>();
  readonly #startedAtMs: number;
  readonly #stopped = new AbortController();
  #syncTimer: NodeJS.Timeout | undefined;

  constructor(options: AgentOptions) {
    const { context, now } = options;
    this.#options = options;
    this.#startedAtMs = now();
    this.#context = {
      ...context,
      fleet: () => this.#news.view,
      reportProgress: (upgrade, progress) => this.#progress.set(keyOf(upgrade), progress),
      note: ({ service, version }, source, text) => {
        options.log(`${service} ${version}: ${source}: ${text.trimEnd().split("\n").at(-1) ?? ""}`);
        context.journal.said.add(service, version, { atMs: now(), source, text });
      },
    };
    this.#runner = new Runner({
      context: this.#context,
      works,
      cleanUp,
      now,
      onChange: (row) => this.#changed(row),
    });
    this.#retirements = new Retirements({
      ...context,
      view: () => this.#news.view,
      retire: (service, version) => void this.#runner.send({ service, version }, { type: "retire" }),
    });
    this.#sync = new RouterSync({
      router: options.router,
      policyOf: async (upgrade) => policyOf(await manifestOf(this.#context, upgrade)),
      log: (message) => options.log(message),
    });
    this.#services = new Services({
      context: this.#context,
      runner: this.#runner,
      now,
      log: options.log,
      signal: this.#stopped.signal,
    });
    this.#gate = { ...context, manifestOf: (version) => manifestOf(this.#context, version) };
    this.#proxyWatch = new ProxyWatch({
      ...context,
      signal: this.#stopped.signal,
      heard: ({ kind, detail, ...version }) => {
        const upgrade = context.journal.upgrade(version.service, version.version);
        if (upgrade !== undefined) this.#context.note(upgrade, "proxy", `${kind}: ${detail}`);
      },
    });
    this.#news = new News({
      config: context.config,
      router: context.router,
      now,
      random: options.random,
      own: () => this.#digest(),
      upgrades: () => context.journal.upgrades(),
      otherNodes: () => otherNodes(this.#context),
      learn: (hint) => this.#learn(hint),
      learnRetirement: (service, version, source) => this.#learnRetirement(service, version, source),
    });
  }

  /** Takes up what an earlier agent left: seeds, proxies, lost domains, stages under way. */
  async start(): Promise<void> {
    this.#proxyWatch.remember();
    await this.#syncRouter();
    await this.#seedAgain();
    await this.#findProxies();
    this.#runner.start();
    this.#services.start();
    this.#news.start();
    this.#syncTimer = setInterval(() => void this.#syncRouter(), syncEveryMs);
    void this.#watchDomains();
    void boundConsoleLogs(this.#context.config.logDirectory, this.#stopped.signal);
  }

  async stop(): Promise<void> {
    clearInterval(this.#syncTimer);
    this.#stopped.abort();
    this.#news.stop();
    await this.#services.stop();
    await this.#runner.stop();
  }

  async status(): Promise<NodeStatus> {
    const { config, hypervisor } = this.#context;
    const router = this.#sync.status;
    return {
      node: config.node,
      address: config.serviceAddress,
      pid: this.#options.pid,
      startedAtMs: this.#startedAtMs,
      hypervisor: hypervisor.kind,
      versions: this.#versions(),
      ...(router === undefined ? {} : { router }),
      clientPaths: router?.clientPaths ?? {},
      proxyEvents: this.#context.journal.proxyEvents(proxyEventsShown),
    };
  }

  async fleet(): Promise<FleetStatus> {
    return { nodes: [this.#digest(), ...this.#news.view.values()] };
  }

  async logs(service: string, version: number, after?: number): Promise<readonly LoggedLine[]> {
    this.#mustKnow(service, version);
    return this.#context.journal.said.lines(service, version, { after, charactersMax: logCharactersMax });
  }

  async seed({ file, envelope }: SeedRequest): Promise<VersionStatus> {
    const { journal, verifier, releases, swarm } = this.#context;
    const { manifest } = verifier.verify(envelope, "release");
    const { service, version } = manifest;
    const known = journal.upgrades().filter((upgrade) => upgrade.service === service);
    const newest = Math.max(0, ...known.map((upgrade) => upgrade.version));
    const present = journal.upgrade(service, version);
    if (present === undefined && version <= newest) {
      const message = `${service} ${newest} is known here; a new version needs a number above it, not ${version}.`;
      throw new AgentError("E_VERSION_NOT_NEWER", message);
    }
    await releases.importTarball(envelope, file, swarm);
    const { torrent, tarball } = await releases.metadata(service, version);
    await swarm.seed(torrent, tarball);
    const upgrade =
      present?.stage === "failed"
        ? this.#runner.send(present, { type: "retry" })
        : this.#runner.begin({ service, version, source: "local", learnedBy: "seed" }, "discovered");
    return this.#statusOf(upgrade);
  }

  async compare(service: string): Promise<CompareStatus> {
    return compareStatus(this.#gate, service);
  }

  async readmit(service: string, version: number): Promise<VersionStatus> {
    const upgrade = this.#mustKnow(service, version);
    const restarted = await this.#services.startAgain(upgrade);
    if ((await this.#proxyWatch.readmit(service, version)) || restarted) return this.#statusOf(upgrade);
    throw new AgentError("E_NOT_QUARANTINED", `${service} ${version} is not kept out by the proxy here.`);
  }

  async retire(envelope: Envelope, force: boolean): Promise<VersionStatus> {
    const statement = this.#context.verifier.verify(envelope, "retire");
    if (!force) await checkCompareGate(this.#gate, statement);
    const { service, version } = this.#retirements.accept(envelope, force);
    return this.#statusOf(this.#mustKnow(service, version));
  }

  async retry(service: string, version: number): Promise<VersionStatus> {
    return this.#statusOf(this.#runner.send({ service, version }, { type: "retry" }));
  }

  /** Another node told what it is, and gets what this one knows. */
  exchange(digest: NodeDigest | undefined): Promise<FleetStatus> {
    if (digest !== undefined) this.#news.merge([digest]);
    return this.fleet();
  }

  /** For other nodes: the signed metadata of a release that this node has verified. */
  async releaseEnvelope(service: string, version: number): Promise<Envelope> {
    return (await this.#release(service, version)).envelope;
  }

  async releaseTorrent(service: string, version: number): Promise<Uint8Array> {
    return (await this.#release(service, version)).torrent;
  }

  async retirement(service: string, version: number): Promise<Envelope> {
    const envelope = this.#context.journal.retirement(service, version);
    if (envelope === undefined)
      throw new AgentError("E_NO_VERSION", `${service} ${version} is not retired here.`);
    return envelope;
  }

  async #release(service: string, version: number) {
    if (await this.#context.releases.hasMetadata(service, version)) {
      return this.#context.releases.metadata(service, version);
    }
    throw new AgentError("E_NO_VERSION", `This node does not have ${service} ${version}.`);
  }

  #mustKnow(service: string, version: number): Upgrade {
    const upgrade = this.#context.journal.upgrade(service, version);
    if (upgrade !== undefined) return upgrade;
    throw new AgentError(
      "E_NO_VERSION",
      `This node knows no ${service} ${version}; see 'vm-upgrade versions'.`,
    );
  }

  #digest(): NodeDigest {
    const address6 = this.#sync.status?.serviceAddress6;
    return nodeDigest(this.#context.config, address6, this.#versions(), this.#options.now());
  }

  #versions(): VersionStatus[] {
    return this.#context.journal.upgrades().map((upgrade) => this.#statusOf(upgrade));
  }

  #statusOf(upgrade: Upgrade): VersionStatus {
    const labelOf = (service: string, version: number) => this.#labels.get(keyOf({ service, version }));
    const { journal } = this.#context;
    const status = versionStatus(journal, upgrade, labelOf, (row) => this.#progress.get(keyOf(row)));
    return { ...status, ...this.#services.statusOf(upgrade) };
  }

  #changed(upgrade: Upgrade): void {
    this.#options.log(`${upgrade.service} ${upgrade.version}: ${upgrade.stage}`);
    if (upgrade.stage === "running") this.#retirements.apply();
    if (!servesClients(upgrade.stage)) this.#proxyWatch.forget(upgrade.service, upgrade.version);
    void this.#noteLabel(upgrade);
    void this.#syncRouter();
  }

  async #noteLabel(upgrade: Upgrade): Promise<void> {
    if (this.#labels.has(keyOf(upgrade))) return;
    if (!(await this.#context.releases.hasMetadata(upgrade.service, upgrade.version))) return;
    this.#labels.set(keyOf(upgrade), (await manifestOf(this.#context, upgrade)).label);
  }

  #learn(hint: Hint): void {
    this.#options.log(`${hint.service} ${hint.version}: heard of by ${hint.learnedBy} from ${hint.source}`);
    this.#runner.begin(hint, "discovered");
  }

  #learnRetirement(service: string, version: number, source: string): void {
    this.#retirements.learn(service, version, source, this.#options.now()).catch((error: unknown) => {
      this.#options.log(`${service} ${version}: retirement said by ${source}: ${(error as Error).message}`);
    });
  }

  #syncRouter(): Promise<void> {
    const others = otherNodes(this.#context);
    this.#services.follow(this.#context.journal.upgrades());
    this.#proxyWatch.follow(this.#context.journal.upgrades().map(({ service }) => service));
    this.#context.swarm.setAllowedPeers(others);
    const managed = [...others, ...addresses6(this.#news.view)];
    return this.#sync.sync(this.#context.journal.upgrades(), managed);
  }

  async #seedAgain(): Promise<void> {
    const { releases, swarm, journal } = this.#context;
    for (const upgrade of journal.upgrades()) {
      await this.#noteLabel(upgrade);
      if (!(await releases.isComplete(upgrade.service, upgrade.version))) continue;
      const { torrent, tarball } = await releases.metadata(upgrade.service, upgrade.version);
      await swarm.seed(torrent, tarball);
    }
  }

  /** Proxies outlive the agent; here they are found, or started when they died with it. */
  async #findProxies(): Promise<void> {
    const { journal } = this.#context;
    const serving = journal.upgrades().filter((upgrade) => servesClients(upgrade.stage));
    for (const service of new Set(serving.map((upgrade) => upgrade.service))) {
      const versions = serving.filter((upgrade) => upgrade.service === service);
      const newest = versions.at(-1);
      if (versions.length < 2 || newest === undefined) continue;
      const manifest = await manifestOf(this.#context, newest);
      if (manifest.proxy !== undefined) await ensureProxy(this.#context, manifest, versions);
    }
  }

  /** A domain that is gone although nobody ended it is made anew. */
  async #watchDomains(): Promise<void> {
    const { hypervisor, journal } = this.#context;
    const lost = (name: string) => {
      const upgrade = journal.upgrades().find((row) => domainName(this.#context.config, row) === name);
      if (upgrade !== undefined) this.#runner.send(upgrade, { type: "domain-lost" });
    };
    const present = new Set(
      (await hypervisor.list()).filter((d) => d.state === "running").map((d) => d.name),
    );
    for (const upgrade of journal.upgrades()) {
      const name = domainName(this.#context.config, upgrade);
      if (!present.has(name)) lost(name);
    }
    for await (const event of hypervisor.events(this.#stopped.signal)) {
      if (event.state !== "running") lost(event.name);
    }
  }
}

function keyOf({ service, version }: { readonly service: string; readonly version: number }): string {
  return `${service} ${version}`;
}
