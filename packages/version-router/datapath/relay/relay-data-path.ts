/**
 * The DataPath without eBPF: traffic goes through sockets of this process. Keeps the thread's routes, nftables' rules
 * and the state file in step; calls follow one another.
 *
 * Flows go through the process, so they end with it: only its links, rules and what it knew outlive it. While it is
 * away, marked traffic is dropped, so that connections attempted meanwhile succeed when it is back.
 */
import { RouterError } from "../../errors.ts";
import { UDP_MARK_BYTES, serviceTag } from "../../mark/index.ts";
import * as addresses from "../kernel/addresses.ts";
import * as links from "../kernel/links.ts";
import { selectFlows } from "../flow-list.ts";
import { EngineThread } from "./engine-thread.ts";
import { toListedFlow, toPeerCounters } from "./listing.ts";
import * as node from "./node-setup.ts";
import { probeRelayDataPath } from "./probe.ts";
import { RULE_VERDICTS } from "./ruleset.ts";
import { loadState, removeState, saveState } from "./state-file.ts";
import * as states from "./state.ts";
import { strippedPeers } from "./stripped-peers.ts";
import { sumUp } from "./tally.ts";
import type {
  Advertisement,
  ClientPath,
  Counter,
  DomainLink,
  FlowFilter,
  FlowList,
  PeerCounter,
  PortSet,
  TraceFilter,
} from "../../control/contract.ts";
import type { DataPath, DataPathConfig, DomainEntry, HeardMark, TraceBatch } from "../datapath.ts";
import type { RelayState } from "./state.ts";

export interface RelayConfig extends Pick<DataPathConfig, "uplink" | "serviceAddress" | "serviceAddress6"> {
  /** Where it keeps what must outlive the daemon but not the machine: on a tmpfs. */
  readonly stateFile: string;
}

export function createRelayDataPath(config: RelayConfig): DataPath {
  return new RelayDataPath(config);
}

interface Opened {
  readonly engine: EngineThread;
  readonly uplinkMtu: number;
  state: RelayState;
}

class RelayDataPath implements DataPath {
  readonly kind = "relay";
  readonly #config: RelayConfig;
  #opened: Opened | undefined;
  #last: Promise<unknown> = Promise.resolve();

  constructor(config: RelayConfig) {
    this.#config = config;
  }

  open(): Promise<void> {
    return this.#inTurn(async () => {
      if (this.#opened !== undefined) return;
      const { uplink: name, serviceAddress, serviceAddress6 } = this.#config;
      if (serviceAddress6 !== undefined) {
        const message = `The relay data path carries IPv4 only; leave out serviceAddress6 (${serviceAddress6}), or mend what the kernel data path lacks ("vm-router --check").`;
        throw new RouterError("E_NO_DATA_PATH", message);
      }
      await assertPossible();
      const uplink = await links.findLink(name);
      if (uplink === undefined)
        throw new RouterError("E_NO_DATA_PATH", `There is no interface ${name}; see "ip link".`);
      const state = await this.#takeOver();
      const engine = await EngineThread.start({ state, uplinkMtu: uplink.mtu });
      try {
        await node.addRoutes(uplink.mtu);
        await node.applyState(state, name, engine.ports);
        await node.applyManaged(state.managed);
        for (const { slot, networkMbitPerS } of state.domains) {
          const isThere = (await links.findLink(addresses.hostInterface(slot))) !== undefined;
          if (isThere) await node.guardTap(slot, serviceAddress, networkMbitPerS);
        }
      } catch (error) {
        await engine.stop();
        throw error;
      }
      this.#opened = { engine, uplinkMtu: uplink.mtu, state };
    });
  }

  attachDomain(domain: DomainEntry): Promise<DomainLink> {
    return this.#inTurn(async () => {
      const opened = this.#open;
      const { slot } = domain;
      states.assertAttachable(opened.state, domain);
      const link = this.#link(domain);
      const known = states.domainAt(opened.state, slot);
      const isAsWanted = known !== undefined && states.isSameDomain(known, domain);
      const found = await links.findLink(link.interfaceName);
      if (
        isAsWanted &&
        found !== undefined &&
        (await links.isLastingLink(link.interfaceName, found.ifindex))
      ) {
        if (known.networkMbitPerS !== domain.networkMbitPerS) await this.#limit(domain);
        return link;
      }
      if (known !== undefined && !isAsWanted) await this.#change(states.withoutDomain(opened.state, slot));
      await node.removeTap(slot);
      const host = addresses.hostMac(this.#config.serviceAddress, slot);
      const macs = { host, hostMtu: opened.uplinkMtu };
      await node.createTap(slot, domain.link, link, macs, domain.networkMbitPerS);
      try {
        await this.#change(states.withDomain(opened.state, domain));
      } catch (error) {
        await node.removeTap(slot);
        throw error;
      }
      return link;
    });
  }

  detachDomain(slot: number): Promise<void> {
    return this.#inTurn(async () => {
      const opened = this.#open;
      if (states.domainAt(opened.state, slot) === undefined) return;
      await this.#change(states.withoutDomain(opened.state, slot));
      await this.#endClients(slot);
      await node.removeTap(slot);
    });
  }

  domains(): ReturnType<DataPath["domains"]> {
    return this.#inTurn(async () =>
      this.#open.state.domains.map((domain) => ({ ...domain, domainLink: this.#link(domain) })),
    );
  }

  setPorts(slot: number, ports: PortSet): Promise<void> {
    return this.#inTurn(() => this.#change(states.withPorts(this.#open.state, slot, ports)));
  }

  setClientPath(service: string, path: ClientPath): Promise<void> {
    return this.#inTurn(() => {
      const change = { tag: serviceTag(service), name: service, path };
      return this.#change(states.withService(this.#open.state, change));
    });
  }

  clientPaths(): Promise<Readonly<Record<string, ClientPath>>> {
    return this.#inTurn(async () => states.clientPathsOf(this.#open.state));
  }

  directConnections(slot: number): Promise<number> {
    return this.#inTurn(() => this.#open.engine.request({ type: "connections", slot }));
  }

  resetDirectConnections(slot: number): Promise<number> {
    return this.#inTurn(() => this.#endClients(slot));
  }

  setAdvertisement(tag: number, advertisement: Advertisement | undefined): Promise<void> {
    return this.#inTurn(() => this.#change(states.withService(this.#open.state, { tag, advertisement })));
  }

  setManagedPeers(peers: readonly string[]): Promise<void> {
    return this.#inTurn(async () => {
      const managed = [...new Set(peers)];
      await this.#change({ ...this.#open.state, managed });
      await node.applyManaged(managed);
    });
  }

  heard(): Promise<readonly HeardMark[]> {
    return this.#inTurn(() => this.#open.engine.request({ type: "heard" }));
  }

  counters(): Promise<readonly Counter[]> {
    return this.#inTurn(async () => {
      const { engine, state } = this.#open;
      const tallied = await engine.request({ type: "counters" });
      const counted = (await node.ruleCounters()).map(({ slot, ...counter }) => {
        const domain = slot === undefined ? undefined : states.domainAt(state, slot);
        return { ...counter, tag: domain?.tag ?? 0, version: domain?.version ?? 0 };
      });
      return sumUp([...tallied, ...counted], (tag) => states.nameOf(state, tag));
    });
  }

  peerCounters(): Promise<readonly PeerCounter[]> {
    return this.#inTurn(async () => {
      const { engine, state } = this.#open;
      const tallied = await engine.request({ type: "peerCounters" });
      return toPeerCounters(tallied, await strippedPeers(state, Date.now()), (tag) =>
        states.nameOf(state, tag),
      );
    });
  }

  flows(filter: FlowFilter): Promise<FlowList> {
    return this.#inTurn(async () => {
      const { engine, state } = this.#open;
      const nowMs = Date.now();
      const flows = (await engine.request({ type: "flows" })).flatMap((flow) => {
        const domain = states.domainAt(state, flow.slot);
        return domain === undefined ? [] : [toListedFlow(flow, domain, nowMs)];
      });
      return selectFlows(flows, filter);
    });
  }

  trace(filter: TraceFilter | undefined): Promise<TraceBatch> {
    return this.#inTurn(async () => {
      const batch = await this.#open.engine.request({ type: "trace", filter });
      return { ...batch, unseen: RULE_VERDICTS };
    });
  }

  close(): Promise<void> {
    return this.#inTurn(async () => {
      const opened = this.#opened;
      this.#opened = undefined;
      await opened?.engine.stop();
    });
  }

  destroy(): Promise<void> {
    return this.#inTurn(async () => {
      const opened = this.#opened;
      this.#opened = undefined;
      await opened?.engine.stop();
      // A file that cannot be read must not be in the way of removing it.
      const state = opened?.state ?? (await loadState(this.#config.stateFile).catch(() => undefined));
      await node.tearDown(state?.wasForwarding ?? true);
      await removeState(this.#config.stateFile);
    });
  }

  get #open(): Opened {
    if (this.#opened === undefined) {
      throw new RouterError("E_NO_DATA_PATH", "The data path is not open; call open() first.");
    }
    return this.#opened;
  }

  /** Runs after all that was asked before. */
  #inTurn<T>(work: () => Promise<T>): Promise<T> {
    const result = this.#last.then(work);
    this.#last = result.catch(() => undefined);
    return result;
  }

  /** What an earlier daemon left, or a beginning. */
  async #takeOver(): Promise<RelayState> {
    const { serviceAddress, stateFile } = this.#config;
    const before = await loadState(stateFile);
    if (before === undefined) {
      const state = states.emptyState(serviceAddress, await links.setForwarding(true));
      await saveState(stateFile, state);
      return state;
    }
    if (before.serviceAddress !== serviceAddress) {
      const message = `${stateFile} serves ${before.serviceAddress}, not ${serviceAddress}; run "vm-router --destroy" first.`;
      throw new RouterError("E_KERNEL", message);
    }
    await links.setForwarding(true);
    return before;
  }

  /** Sockets first: what the rules bring meanwhile is judged by the new state. */
  async #change(state: RelayState): Promise<void> {
    const opened = this.#open;
    await opened.engine.request({ type: "route", state });
    try {
      await node.applyState(state, this.#config.uplink, opened.engine.ports);
      await saveState(this.#config.stateFile, state);
    } catch (error) {
      await opened.engine.request({ type: "route", state: opened.state });
      throw error;
    }
    opened.state = state;
  }

  /** State first: rules that a daemon did not come to make are made by the next. */
  async #limit(domain: DomainEntry): Promise<void> {
    await this.#change(states.withDomain(this.#open.state, domain));
    await node.guardTap(domain.slot, this.#config.serviceAddress, domain.networkMbitPerS);
  }

  async #endClients(slot: number): Promise<number> {
    const { engine } = this.#open;
    const ended = await engine.request({ type: "reset", slot });
    await node.applyClientFlows(await engine.request({ type: "clientFlows" }));
    return ended;
  }

  #link({ slot, link }: DomainEntry): DomainLink {
    const { serviceAddress } = this.#config;
    return {
      interfaceName: addresses.hostInterface(slot),
      ...(link === "veth" ? { guestInterfaceName: addresses.guestInterface(slot) } : {}),
      mac: addresses.guestMac(serviceAddress, slot),
      address: serviceAddress,
      gateway: addresses.GATEWAY,
      managementAddress: addresses.managementAddress(slot),
      mtu: this.#open.uplinkMtu - UDP_MARK_BYTES,
      ephemeralPorts: addresses.ephemeralPorts(slot),
    };
  }
}

async function assertPossible(): Promise<void> {
  if (process.getuid?.() !== 0)
    throw new RouterError("E_NOT_ROOT", "The router needs root; start it as root.");
  const { ok, missing } = await probeRelayDataPath();
  if (ok) return;
  const list = missing.map(({ what, mend }) => `${what} (${mend})`).join(", ");
  throw new RouterError("E_NO_DATA_PATH", `This machine lacks ${list}.`);
}
