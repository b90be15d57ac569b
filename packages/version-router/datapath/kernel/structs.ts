/** The maps of bpf/maps.h, mirrored here and nowhere else; the unit test compares them with the compiled object. */
import { address128, be16, ipv4, mac, pad, scalar, struct, text, u16, u32, u64, u8 } from "./struct-codec.ts";

/** Raise it with every change of a struct or map: pins of another layout are refused. */
export const LAYOUT = 5;
export const SLOTS = 64;
export const SERVICE_NAME_BYTES_MAX = 63;

export const PROGRAMS = ["tap_ingress", "tap_egress", "uplink_ingress"] as const;
export const PROTOCOL = { tcp: 6, udp: 17 } as const;
export const PATH = { none: 0, direct: 1, proxy: 2, closed: 3 } as const;
export const ROLE = { peer: 0, client: 1 } as const;
export const FLOW = { opening: 0, open: 1, closed: 2, refused: 3, reset: 4 } as const;
export const HOOK = { tap_ingress: 0, tap_egress: 1, uplink_ingress: 2 } as const;
export const SEEN = { domainFin: 1, remoteFin: 2, domainSyn: 4, proof: 8 } as const;

/** Stable names of `enum verdict`, in its order. What each means: docs/WIRE.md. */
export const VERDICTS = [
  "marked",
  "delivered",
  "peer_tcp_out",
  "peer_tcp_in",
  "client_in",
  "client_out",
  "icmp_error",
  "translated",
  "to_host",
  "spoofed",
  "private_address",
  "malformed",
  "fragment",
  "ipv6",
  "other_protocol",
  "offloaded",
  "too_big",
  "no_room",
  "tuple_in_use",
  "no_flow",
  "unmanaged",
  "unmarked",
  "option_stripped",
  "unknown_version",
  "wrong_version",
  "port_not_registered",
  "reset",
  "kernel_error",
  "extension_header",
  "rate_exceeded",
] as const;

export const config = struct({
  layout: u32,
  uplink: u32,
  address: ipv4,
  address6: address128,
  uplink_mtu: u32,
  forwarding_was: u8,
  forwarding6_was: u8,
  accept_ra_was: u8,
  pad: pad(1),
});

export const slot = struct({
  ifindex: u32,
  version: u32,
  mbit_per_s: u32,
  management: ipv4,
  management6: address128,
  tag: u16,
  link: u8,
  pad: pad(1),
  guest_mac: mac,
  host_mac: mac,
  service: text(SERVICE_NAME_BYTES_MAX + 1),
});

/** By slot number × 2 + direction. The lock is the programs' own: writing leaves it as it is. */
export const bucket = struct({ lock: u32, pad: pad(4), paid_ns: u64 });
export const DIRECTION = { sends: 0, receives: 1 } as const;

export const domainKey = struct({ version: u32, tag: u16, pad: pad(2) });

export const service = struct({
  advertisement: u32,
  path_version: u32,
  path: u8,
  open_to_unmanaged: u8,
  pad: pad(2),
  name: text(SERVICE_NAME_BYTES_MAX + 1),
});

export const portKey = struct({ port: be16, protocol: u8, pad: pad(1) });

export const port = struct({ peer_slots: u64, client_slots: u64, tag: u32, pad: pad(4) });

export const flowKey = struct({
  remote: address128,
  remote_port: be16,
  local_port: be16,
  protocol: u8,
  pad: pad(3),
});

export const flow = struct({
  last_seen_ns: u64,
  slot: u8,
  state: u8,
  role: u8,
  /** Bits, see SEEN. */
  seen: u8,
  domain_syn: u32,
});

export const heardKey = struct({ peer: address128, tag: u32, version: u32, advertisement: u32 });

export const counterKey = struct({ version: u32, tag: u16, verdict: u16 });

export const counter = struct({ packets: u64, bytes: u64 });

export const peerKey = struct({ peer: address128, version: u32, tag: u16, verdict: u16 });

export const peerCounter = struct({ packets: u64, bytes: u64, last_seen_ns: u64 });

/** A field of 0 asks for anything; the address for that is "::", and verdicts are numbered from 1. */
export const tracing = struct({
  since_ns: u64,
  until_ns: u64,
  peer: address128,
  version: u32,
  tag: u16,
  verdict: u16,
  port: be16,
  protocol: u8,
  pad: pad(5),
});

export const traceRecord = struct({
  time_ns: u64,
  source: address128,
  destination: address128,
  ifindex: u32,
  bytes: u32,
  version: u32,
  mark_version: u32,
  mark_advertisement: u32,
  tag: u16,
  mark_tag: u16,
  source_port: be16,
  destination_port: be16,
  verdict: u16,
  ethertype: be16,
  hook: u8,
  protocol: u8,
  flags: u8,
  pad: pad(5),
});

/** The key of a queue. */
export const nothing = struct({});
export const number32 = scalar(u32);
export const number64 = scalar(u64);
export const address = scalar(address128);

/** Every map: key, value, entries, and whether each processor has its own value. */
export const MAPS = {
  config: { key: number32, value: config, entries: 1, perCpu: false },
  slots: { key: number32, value: slot, entries: SLOTS, perCpu: false },
  buckets: { key: number32, value: bucket, entries: SLOTS * 2, perCpu: false },
  interfaces: { key: number32, value: number32, entries: SLOTS, perCpu: false },
  domains: { key: domainKey, value: number32, entries: SLOTS, perCpu: false },
  services: { key: number32, value: service, entries: 1024, perCpu: false },
  ports: { key: portKey, value: port, entries: 4096, perCpu: false },
  flows: { key: flowKey, value: flow, entries: 65_536, perCpu: false },
  tentative: { key: flowKey, value: flow, entries: 65_536, perCpu: false },
  heard: { key: heardKey, value: number64, entries: 4096, perCpu: false },
  counters: { key: counterKey, value: counter, entries: 8192, perCpu: true },
  peer_counters: { key: peerKey, value: peerCounter, entries: 8192, perCpu: true },
  tracing: { key: number32, value: tracing, entries: 1, perCpu: false },
  trace_packet: { key: number32, value: traceRecord, entries: 1, perCpu: true },
  trace_lost: { key: number32, value: number64, entries: 1, perCpu: true },
  trace_queue: { key: nothing, value: traceRecord, entries: 8192, perCpu: false },
  managed: { key: address, value: number32, entries: 131_072, perCpu: false },
} as const;
