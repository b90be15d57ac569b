/** Domains: what runs a version. Everything outside this folder uses what is named here, and `hypervisor.ts`. */
import type { Hypervisor, HypervisorKind } from "./hypervisor.ts";
import { LibvirtHypervisor } from "./libvirt/driver.ts";
import { FLAVOURS } from "./libvirt/flavours.ts";

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
}): Promise<Hypervisor> {
  const hypervisor = new LibvirtHypervisor(FLAVOURS[options.kind], options.socket ?? LIBVIRT_SOCKET);
  await hypervisor.check();
  return hypervisor;
}
