/** The real maps: changed by the daemon's own functions, cleared between sequences, compared with the model. */
import { resetClientFlows } from "../../../datapath/kernel/flow-table.ts";
import { replacePorts } from "../../../datapath/kernel/port-table.ts";
import { changeService } from "../../../datapath/kernel/service-table.ts";
import { occupants, occupy, vacate } from "../../../datapath/kernel/slot-table.ts";
import { FLOW, PATH, ROLE, SEEN, VERDICTS } from "../../../datapath/kernel/structs.ts";
import { NETWORK_MBIT_PER_S_MAX } from "../../../datapath/datapath.ts";
import { formatIp, parseIp } from "../../../datapath/ip-address.ts";
import { flowId } from "./model/world.ts";
import type { Maps } from "../../../datapath/kernel/pins.ts";
import type { Flow, Slot, World } from "./model/world.ts";
import type { Change } from "./steps.ts";

export class Tables {
  readonly #maps: Maps;

  constructor(maps: Maps) {
    this.#maps = maps;
  }

  clear(): void {
    const maps = this.#maps;
    for (const [number] of occupants(maps)) vacate(maps, number);
    for (const [tag] of maps.services.entries()) maps.services.delete(tag);
    for (const [peer] of maps.managed.entries()) maps.managed.delete(peer);
    for (const table of [maps.flows, maps.tentative]) {
      for (const [key] of table.entries()) table.delete(key);
    }
    for (const [key] of maps.heard.entries()) maps.heard.delete(key);
    for (const [key] of maps.counters.entries()) maps.counters.delete(key);
    for (const [key] of maps.peer_counters.entries()) maps.peer_counters.delete(key);
  }

  change(change: Change): void {
    const maps = this.#maps;
    switch (change.kind) {
      case "occupy":
        occupy(maps, change.number, entryOf(change.slot));
        return;
      case "vacate":
        vacate(maps, change.number);
        return;
      case "ports":
        replacePorts(maps.ports, change.number, change.tag, change);
        return;
      case "service": {
        const { direct, advertisement, allowsUnmanaged } = change.service;
        const path = direct === undefined ? PATH.proxy : PATH.direct;
        changeService(maps, change.tag, {
          advertisement,
          path,
          path_version: direct ?? 0,
          open_to_unmanaged: Number(allowsUnmanaged),
          name: `s${change.tag}`,
        });
        return;
      }
      case "address6": {
        const config = maps.config.get(0);
        if (config === undefined) throw new Error("the router has not written its configuration");
        const address6 = change.address === undefined ? "::" : textOf(change.address);
        maps.config.set(0, { ...config, address6 });
        return;
      }
      case "managed":
        if (change.isManaged) maps.managed.set(textOf(change.address), 1);
        else maps.managed.delete(textOf(change.address));
        return;
      case "age": {
        const olderNs = BigInt(Math.round(change.seconds * 1e9));
        for (const table of [maps.flows, maps.tentative]) {
          for (const [key, flow] of table.entries()) {
            table.set(key, { ...flow, last_seen_ns: BigInt.asUintN(64, flow.last_seen_ns - olderNs) });
          }
        }
        return;
      }
      case "resetClients":
        resetClientFlows(maps, change.number, process.hrtime.bigint());
    }
  }

  /** What differs from the model, or undefined. */
  difference(world: World): string | undefined {
    return this.#flows(world) ?? this.#heard(world) ?? this.#counters(world);
  }

  #flows(world: World): string | undefined {
    const lines = (table: Maps["flows"], isProven: boolean): string[] =>
      table.entries().map(([key, { slot, state, role, seen, domain_syn }]) => {
        const id = flowId({
          remote: hexOf(key.remote),
          remotePort: key.remote_port,
          localPort: key.local_port,
          protocol: key.protocol,
        });
        return `${id}: slot ${slot}, state ${state}, role ${role}, seen ${seen}, SYN ${domain_syn}, ${isProven ? "proven" : "tentative"}`;
      });
    const real = new Set([...lines(this.#maps.flows, true), ...lines(this.#maps.tentative, false)]);
    return firstDifference("flow", real, new Set(world.flows.entries().map(describe)));
  }

  #heard(world: World): string | undefined {
    const real = new Set<string>();
    for (const [{ peer, tag, version, advertisement }] of this.#maps.heard.entries()) {
      real.add(`${hexOf(peer)} ${tag} ${version} ${advertisement}`);
    }
    return firstDifference("mark heard", real, world.heard);
  }

  #counters(world: World): string | undefined {
    const sums = new Map<string, { packets: number; bytes: number }>();
    for (const [{ tag, version, verdict }, { packets, bytes }] of this.#maps.counters.entries()) {
      const id = `${tag} ${version} ${VERDICTS[verdict]}`;
      const before = sums.get(id) ?? { packets: 0, bytes: 0 };
      sums.set(id, { packets: before.packets + Number(packets), bytes: before.bytes + Number(bytes) });
    }
    const lines = (counts: ReadonlyMap<string, { packets: number; bytes: number }>): Set<string> =>
      new Set(
        counts.entries().map(([id, { packets, bytes }]) => `${id}: ${packets} packets, ${bytes} bytes`),
      );
    return firstDifference("counter", lines(sums), lines(world.counters));
  }
}

function firstDifference(
  what: string,
  real: ReadonlySet<string>,
  model: ReadonlySet<string>,
): string | undefined {
  const tooMany = [...real].find((item) => !model.has(item));
  const missing = [...model].find((item) => !real.has(item));
  if (tooMany === undefined && missing === undefined) return undefined;
  return `${what}: the programs have ${tooMany ?? "nothing more"}, the model has ${missing ?? "nothing more"}`;
}

function describe([id, flow]: [string, Flow]): string {
  const seen =
    (flow.domainFinished ? SEEN.domainFin : 0) |
    (flow.remoteFinished ? SEEN.remoteFin : 0) |
    (flow.domainSyn === undefined ? 0 : SEEN.domainSyn) |
    (flow.proven ? SEEN.proof : 0);
  const { slot, state, role, proven } = flow;
  return `${id}: slot ${slot}, state ${FLOW[state]}, role ${ROLE[role]}, seen ${seen}, SYN ${flow.domainSyn ?? 0}, ${proven ? "proven" : "tentative"}`;
}

function entryOf(slot: Slot): Parameters<typeof occupy>[2] {
  return {
    ifindex: slot.ifindex,
    version: slot.version,
    // Half of the domains have a rate, which one packet after the other never reaches.
    mbit_per_s: slot.version % 2 === 0 ? NETWORK_MBIT_PER_S_MAX : 0,
    management: textOf(slot.management),
    management6: textOf(slot.management6),
    tag: slot.tag,
    link: 2,
    pad: undefined,
    guest_mac: slot.guestMac.toString("hex"),
    host_mac: slot.hostMac.toString("hex"),
    service: `s${slot.tag}`,
  };
}

function textOf(address: string): string {
  return formatIp(Buffer.from(address, "hex"));
}

function hexOf(address: string): string {
  return parseIp(address).toString("hex");
}
