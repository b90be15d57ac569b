/** Domains: what runs a version. Everything outside this folder uses what is named here, and `hypervisor.ts`. */
import type { DomainSpec, Hypervisor, HypervisorKind } from "./hypervisor.ts";
import { LibvirtHypervisor } from "./libvirt/driver.ts";
import { FLAVOURS } from "./libvirt/flavours.ts";
import { xenXml } from "./xml/xen.ts";
import type { XenGuest } from "./xml/xen.ts";

export { FakeHypervisor } from "./fake.ts";
export type { FakeFault } from "./fake.ts";
export { examineHypervisors, HYPERVISOR_KINDS, probeHypervisor } from "./probe.ts";
export type { ProbeOptions, ProbeResult, Verdict } from "./probe.ts";
export { createSpares } from "./spare/index.ts";
export type { Shape, Spares, SparesOptions, Start } from "./spare/index.ts";

/** Where libvirtd listens unless it was told otherwise. */
export const LIBVIRT_SOCKET = "/run/libvirt/libvirt-sock";

/** Throws E_NO_LIBVIRT when nobody answers on the socket, E_LIBVIRT when the daemon lacks the driver. */
export async function openHypervisor(options: {
  readonly kind: HypervisorKind;
  readonly socket?: string;
  /** Of xen; default `pv`. */
  readonly xenGuest?: XenGuest;
}): Promise<Hypervisor> {
  const { kind, socket = LIBVIRT_SOCKET, xenGuest } = options;
  const xml = kind === "xen" ? (spec: DomainSpec) => xenXml(spec, xenGuest) : FLAVOURS[kind].xml;
  const hypervisor = new LibvirtHypervisor({ ...FLAVOURS[kind], xml }, socket);
  await hypervisor.check();
  return hypervisor;
}
