/** Names and addresses that follow from a slot's number. Pure. */
import { parseIp } from "../ip-address.ts";
import { SLOTS } from "./structs.ts";

export const GATEWAY = "169.254.1.1";
export const MANAGEMENT_NETWORK = "169.254.128.0/24";
/** fe80::1, which the tap's program answers for; in every domain that has an IPv6 address. */
export const GATEWAY6 = "fe80::1";
/** A prefix drawn by lot (RFC 4193) that no packet on the wire bears; bpf/packet.h has the same. */
export const MANAGEMENT_NETWORK6 = "fd56:52aa:6f3d:1::/64";
/** Every host interface that we make begins so. */
export const INTERFACE_PREFIX = "vm-s";

const EPHEMERAL_FIRST = 16_384;
const EPHEMERAL_PER_SLOT = (65_536 - EPHEMERAL_FIRST) / SLOTS;

export function hostInterface(slot: number): string {
  return `${INTERFACE_PREFIX}${slot}`;
}

/** The other end of a veth pair, until the container takes it. */
export function guestInterface(slot: number): string {
  return `vm-g${slot}`;
}

export function managementAddress(slot: number): string {
  return `169.254.128.${slot + 1}`;
}

export function isManagementAddress6(address: string): boolean {
  return parseIp(address)
    .subarray(0, 8)
    .equals(parseIp(managementAddress6(0)).subarray(0, 8));
}

export function managementAddress6(slot: number): string {
  return `fd56:52aa:6f3d:1::${(slot + 1).toString(16)}`;
}

/** Locally administered, told apart by node (last three bytes of its address) and slot. */
export function guestMac(serviceAddress: string, slot: number): string {
  return ["52:54", ...hexBytes(serviceAddress), hex(slot)].join(":");
}

/** The host's end of the same link. */
export function hostMac(serviceAddress: string, slot: number): string {
  return ["fe:54", ...hexBytes(serviceAddress), hex(slot)].join(":");
}

/** 768 ports for each slot, so that two versions never open the same 5-tuple; inclusive. */
export function ephemeralPorts(slot: number): readonly [number, number] {
  const first = EPHEMERAL_FIRST + slot * EPHEMERAL_PER_SLOT;
  return [first, first + EPHEMERAL_PER_SLOT - 1];
}

function hexBytes(address: string): readonly string[] {
  return address
    .split(".")
    .slice(1)
    .map((part) => hex(Number(part)));
}

function hex(value: number): string {
  return value.toString(16).padStart(2, "0");
}
