/**
 * The DataPath on eBPF: keeps the maps, links and attachments of this node in the order that the calls ask for.
 * Calls that run commands follow one another; those that only touch maps are done at once.
 */
import { RouterError } from "../../errors.ts";
import { UDP_MARK_BYTES, packAdvertisement, serviceTag } from "../../mark/index.ts";
import * as addresses from "./addresses.ts";
import { selectFlows } from "../flow-list.ts";
import { countClientFlows, readFlows, resetClientFlows } from "./flow-table.ts";
import * as links from "./links.ts";
import { readCounters, readHeard, readPeerCounters } from "./news.ts";
import { attachToTap, setUpNode, tearDownNode } from "./node-setup.ts";
import { Pins } from "./pins.ts";
import { portsOf, replacePorts } from "./port-table.ts";
import { probeKernelDataPath } from "./probe.ts";
import { changeService, readClientPaths, readPolicies } from "./service-table.ts";
import {
  assertAttachable,
  isSameDomain,
  occupant,
  occupants,
  occupy,
  toDomain,
  toSlot,
  vacate,
} from "./slot-table.ts";
import { PATH } from "./structs.ts";
import { Trace } from "./trace.ts";
import type {
  Advertisement,
  ClientPath,
  Counter,
  DomainLink,
  FlowFilter,
  FlowList,
  PeerCounter,
  PortSet,
  ServicePolicy,
  TraceFilter,
} from "../../control/contract.ts";
import type { DataPath, DataPathConfig, DomainEntry, HeardMark, TraceBatch } from "../datapath.ts";
import type { Maps } from "./pins.ts";

export function createKernelDataPath(config: DataPathConfig): DataPath {
  return new KernelDataPath(config);
}

class KernelDataPath implements DataPath {
  readonly kind = "kernel";
  readonly #config: DataPathConfig;
  readonly #pins: Pins;
  #openMaps: Maps | undefined;
  #trace: Trace | undefined;
  #uplinkMtu = 0;
  #last: Promise<unknown> = Promise.resolve();

  constructor(config: DataPathConfig) {
    this.#config = config;
    this.#pins = new Pins(config.pinDirectory);
  }

  open(): Promise<void> {
    return this.#inTurn(async () => {
      if (this.#openMaps !== undefined) return;
      await assertPossible();
      const { uplink: name } = this.#config;
      const uplink = await links.findLink(name);
      if (uplink === undefined) {
        throw new RouterError("E_NO_DATA_PATH", `There is no interface ${name}; see "ip link".`);
      }
      await this.#pins.load();
      const maps = this.#pins.maps();
      try {
        await setUpNode(this.#config, this.#pins, maps, uplink);
      } catch (error) {
        closeAll(maps);
        throw error;
      }
      this.#uplinkMtu = uplink.mtu;
      this.#openMaps = maps;
      this.#trace = new Trace(maps, name);
      this.#trace.stop();
    });
  }

  attachDomain(domain: DomainEntry): Promise<DomainLink> {
    return this.#inTurn(async () => {
      const maps = this.#maps;
      assertAttachable(maps, domain);
      const name = addresses.hostInterface(domain.slot);
      const before = occupant(maps, domain.slot);
      const isAsWanted = before !== undefined && isSameDomain(before, domain);
      if (!isAsWanted || !(await links.isLastingLink(name, before.ifindex))) {
        // Also a slot that looks free: a daemon that was killed half-way may have left ports and connections.
        if (!isAsWanted) vacate(maps, domain.slot);
        await links.deleteLink(name);
        await this.#createLink(maps, domain);
      } else {
        occupy(maps, domain.slot, { ...before, mbit_per_s: domain.networkMbitPerS ?? 0 });
      }
      return this.#link(domain);
    });
  }

  detachDomain(slot: number): Promise<void> {
    return this.#inTurn(async () => {
      vacate(this.#maps, slot);
      await links.deleteLink(addresses.hostInterface(slot));
    });
  }

  domains(): ReturnType<DataPath["domains"]> {
    return this.#now((maps) =>
      occupants(maps).map(([slot, entry]) => {
        const domain = toDomain(slot, entry);
        return { ...domain, domainLink: this.#link(domain), ports: portsOf(maps.ports, slot) };
      }),
    );
  }

  setPorts(slot: number, ports: PortSet): Promise<void> {
    return this.#now((maps) => {
      const entry = occupant(maps, slot);
      if (entry === undefined) {
        throw new RouterError("E_NO_DOMAIN", `No domain is attached in slot ${slot}; attach it first.`);
      }
      replacePorts(maps.ports, slot, entry.tag, ports);
    });
  }

  setClientPath(service: string, path: ClientPath): Promise<void> {
    return this.#now((maps) => {
      const version = path.kind === "direct" ? path.version : 0;
      changeService(maps, serviceTag(service), {
        name: service,
        path: PATH[path.kind],
        path_version: version,
      });
    });
  }

  clientPaths(): Promise<Readonly<Record<string, ClientPath>>> {
    return this.#now(readClientPaths);
  }

  setPolicy(service: string, { unmanagedPeers }: ServicePolicy): Promise<void> {
    return this.#now((maps) => {
      const open_to_unmanaged = unmanagedPeers === "allow" ? 1 : 0;
      changeService(maps, serviceTag(service), { name: service, open_to_unmanaged });
    });
  }

  policies(): Promise<Readonly<Record<string, ServicePolicy>>> {
    return this.#now(readPolicies);
  }

  directConnections(slot: number): Promise<number> {
    return this.#now((maps) => countClientFlows(maps, slot, process.hrtime.bigint()));
  }

  resetDirectConnections(slot: number): Promise<number> {
    return this.#now((maps) => resetClientFlows(maps, slot, process.hrtime.bigint()));
  }

  setAdvertisement(tag: number, advertisement: Advertisement | undefined): Promise<void> {
    return this.#now((maps) => {
      const word = advertisement === undefined ? 0 : packAdvertisement(advertisement);
      changeService(maps, tag, { advertisement: word });
    });
  }

  setManagedPeers(peers: readonly string[]): Promise<void> {
    return this.#now((maps) => {
      const wanted = new Set(peers);
      for (const [peer] of maps.managed.entries()) {
        if (!wanted.delete(peer)) maps.managed.delete(peer);
      }
      for (const peer of wanted) maps.managed.set(peer, 1);
    });
  }

  heard(): Promise<readonly HeardMark[]> {
    return this.#now((maps) => readHeard(maps, Date.now(), process.hrtime.bigint()));
  }

  counters(): Promise<readonly Counter[]> {
    return this.#now(readCounters);
  }

  peerCounters(): Promise<readonly PeerCounter[]> {
    return this.#now((maps) => readPeerCounters(maps, Date.now(), process.hrtime.bigint()));
  }

  flows(filter: FlowFilter): Promise<FlowList> {
    return this.#now((maps) => selectFlows(readFlows(maps, process.hrtime.bigint()), filter));
  }

  trace(filter: TraceFilter | undefined): Promise<TraceBatch> {
    return this.#now(() => {
      if (filter !== undefined && this.#trace !== undefined)
        return this.#trace.take(filter, { nowMs: Date.now(), nowNs: process.hrtime.bigint() });
      this.#trace?.stop();
      return { packets: [], missed: 0, unseen: [] };
    });
  }

  close(): Promise<void> {
    return this.#inTurn(() => {
      if (this.#openMaps !== undefined) this.#trace?.stop();
      if (this.#openMaps !== undefined) closeAll(this.#openMaps);
      this.#openMaps = undefined;
      return Promise.resolve();
    });
  }

  destroy(): Promise<void> {
    return this.#inTurn(async () => {
      const maps = this.#openMaps ?? (this.#pins.exist() ? this.#pins.maps() : undefined);
      this.#openMaps = undefined;
      try {
        await tearDownNode(this.#config, maps);
      } finally {
        if (maps !== undefined) closeAll(maps);
      }
      this.#pins.remove();
    });
  }

  get #maps(): Maps {
    if (this.#openMaps === undefined) {
      throw new RouterError("E_NO_DATA_PATH", "The data path is not open; call open() first.");
    }
    return this.#openMaps;
  }

  /** Runs after all that was asked before. */
  #inTurn<T>(work: () => Promise<T>): Promise<T> {
    const result = this.#last.then(work);
    this.#last = result.catch(() => undefined);
    return result;
  }

  /** Runs at once: work on maps is synchronous, so nothing comes in between. */
  #now<T>(work: (maps: Maps) => T): Promise<T> {
    return new Promise((resolve) => resolve(work(this.#maps)));
  }

  async #createLink(maps: Maps, domain: DomainEntry): Promise<void> {
    const { slot } = domain;
    const link = this.#link(domain);
    const name = link.interfaceName;
    const hostMac = addresses.hostMac(this.#config.serviceAddress, slot);
    const ifindex = await links.createLink({
      kind: domain.link,
      name,
      guestName: addresses.guestInterface(slot),
      guestMac: link.mac,
      hostMac,
      guestMtu: link.mtu,
      hostMtu: this.#uplinkMtu,
      managementAddress: link.managementAddress,
      managementAddress6: this.#config.serviceAddress6 && addresses.managementAddress6(slot),
    });
    try {
      // Programs first: they pass nothing until the slot is known.
      await attachToTap(name, this.#pins);
      changeService(maps, domain.tag, { name: domain.service });
      const facts = {
        ifindex,
        management: link.managementAddress,
        management6: addresses.managementAddress6(slot),
        guest_mac: link.mac,
        host_mac: hostMac,
      };
      occupy(maps, slot, toSlot(domain, facts));
    } catch (error) {
      await links.deleteLink(name);
      throw error;
    }
  }

  #link(domain: DomainEntry): DomainLink {
    const { slot } = domain;
    const address6 = this.#config.serviceAddress6;
    return {
      interfaceName: addresses.hostInterface(slot),
      ...(domain.link === "veth" ? { guestInterfaceName: addresses.guestInterface(slot) } : {}),
      mac: addresses.guestMac(this.#config.serviceAddress, slot),
      address: this.#config.serviceAddress,
      gateway: addresses.GATEWAY,
      ...(address6 === undefined ? {} : { address6, gateway6: addresses.GATEWAY6 }),
      managementAddress: addresses.managementAddress(slot),
      mtu: this.#uplinkMtu - UDP_MARK_BYTES,
      ephemeralPorts: addresses.ephemeralPorts(slot),
    };
  }
}

async function assertPossible(): Promise<void> {
  if (process.getuid?.() !== 0)
    throw new RouterError("E_NOT_ROOT", "The router needs root; start it as root.");
  const { ok, missing } = await probeKernelDataPath();
  if (ok) return;
  const list = missing.map(({ what, mend }) => `${what} (${mend})`).join(", ");
  throw new RouterError("E_NO_DATA_PATH", `This machine lacks ${list}.`);
}

function closeAll(maps: Maps): void {
  for (const map of Object.values(maps)) map.close();
}
