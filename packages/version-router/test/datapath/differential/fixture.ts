/** The node that the campaign plays on: its addresses, its domains, and how a sequence begins. */
import { serviceTag } from "../../../mark/index.ts";
import { mapped } from "./model/address.ts";
import type { Random } from "./random.ts";
import type { Slot } from "./model/world.ts";
import type { Change, PortName } from "./steps.ts";

/** Who there is, in each family. The managed peers are the first two. */
export interface People {
  readonly us: string;
  readonly peers: readonly [string, string];
  readonly unmanaged: string;
  readonly client: string;
}

export const IPV4: People = {
  us: mapped(0x0a4e0001),
  peers: [mapped(0x0a4e0002), mapped(0x0a4e0003)],
  unmanaged: mapped(0x0a4e0009),
  client: mapped(0x0a4e0064),
};
export const IPV6: People = {
  us: "fd100078000000000000000000000001",
  peers: ["fd100078000000000000000000000002", "fd100078000000000000000000000003"],
  unmanaged: "fd100078000000000000000000000009",
  client: "20010db8000000000000000000000064",
};
export const KV = serviceTag("kv");
export const CFS = serviceTag("cfs");
export const STRANGE_TAG = 0x1234;
const MANAGEMENT = 0xa9fe8001;
const MANAGEMENT6 = "fd5652aa6f3d00010000000000000001";

interface Domain {
  readonly number: number;
  readonly tag: number;
  readonly version: number;
  readonly peer: readonly PortName[];
  readonly client: readonly PortName[];
}

/** tcp/7005 is for peers in version 1 and for clients in version 2; udp/53 is not in version 1; 3 has little. */
const DOMAINS: readonly Domain[] = [
  {
    number: 0,
    tag: KV,
    version: 1,
    peer: ["tcp/7000", "udp/7001", "tcp/7005"],
    client: ["tcp/80", "udp/54"],
  },
  {
    number: 1,
    tag: KV,
    version: 2,
    peer: ["tcp/7000", "udp/7001"],
    client: ["tcp/80", "tcp/7005", "udp/53", "udp/54"],
  },
  { number: 2, tag: KV, version: 3, peer: ["tcp/7000"], client: ["udp/7001"] },
  { number: 3, tag: CFS, version: 1, peer: ["tcp/9000", "udp/9001"], client: ["tcp/81", "udp/9001"] },
];

/**
 * By how much flows are made older. No sum of these falls on one of the limits of 30, 60 and 70 s, where the moment of
 * the test would decide.
 */
const AGES_S = [2.001, 27.001, 31.001, 61.001, 71.001] as const;
/** Where the first slot's ephemeral ports begin. */
export const OWN_PORT = 16_384;

export const PORTS = [
  7000, 7000, 7001, 7001, 7005, 80, 53, 54, 81, 9000, 9001, 4078, 17_152, 17_153, 40_000,
] as const;

export function slotOf(number: number, tag: number, version: number, ifindexes: readonly number[]): Slot {
  return {
    ifindex: ifindexes[number] ?? 0,
    version,
    tag,
    management: managementOf(number),
    management6: managementOf6(number),
    guestMac: Buffer.from([0x52, 0x54, 0x4e, 0, 1, number]),
    hostMac: Buffer.from([0xfe, 0x54, 0x4e, 0, 1, number]),
  };
}

export function managementOf(number: number): string {
  return mapped(MANAGEMENT + number);
}

export function managementOf6(number: number): string {
  return MANAGEMENT6.slice(0, -2) + (number + 1).toString(16).padStart(2, "0");
}

export function opening(random: Random, ifindexes: readonly number[]): Change[] {
  const changes: Change[] = [{ kind: "address6", address: random.chance(0.95) ? IPV6.us : undefined }];
  for (const tag of [KV, CFS]) changes.push(serviceChange(random, tag));
  for (const { number, tag, version, peer, client } of DOMAINS) {
    changes.push({ kind: "occupy", number, slot: slotOf(number, tag, version, ifindexes) });
    changes.push({ kind: "ports", number, tag, peer, client });
  }
  for (const address of [...IPV4.peers, ...IPV6.peers])
    changes.push({ kind: "managed", address, isManaged: true });
  return changes;
}

function serviceChange(random: Random, tag: number): Change {
  const advertised = [0, 0, 0x20000002, 0x30000001, 0x4fffffff] as const;
  const direct = random.pick([undefined, 1, 2, 2, 3, 9]);
  const service = { advertisement: random.pick(advertised), direct, allowsUnmanaged: random.chance(0.3) };
  return { kind: "service", tag, service };
}

/** What the daemon might do at any time. */
export function randomChange(random: Random, ifindexes: readonly number[]): readonly Change[] {
  const domain = random.pick(DOMAINS as unknown as [Domain, ...Domain[]]);
  const { number, tag } = domain;
  switch (random.below(8)) {
    case 0: {
      const version = random.pick([domain.version, domain.version + 3, domain.version + 6]);
      const slot = slotOf(number, tag, version, ifindexes);
      return [
        { kind: "vacate", number },
        { kind: "occupy", number, slot },
        { kind: "ports", number, tag, peer: domain.peer, client: domain.client },
      ];
    }
    case 1:
      return [{ kind: "vacate", number }];
    case 2:
      return [
        {
          kind: "managed",
          address: random.pick([...IPV4.peers, ...IPV6.peers]),
          isManaged: random.chance(0.7),
        },
      ];
    case 3:
      return [{ kind: "age", seconds: random.pick(AGES_S) }];
    case 4:
      return [{ kind: "resetClients", number }];
    default:
      return [serviceChange(random, random.pick([KV, KV, CFS]))];
  }
}
