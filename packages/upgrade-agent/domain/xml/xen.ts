/** Guests of Xen, booted from our kernel directly, by their disk and network drivers for Xen. Pure. */
import { AgentError } from "../../errors.ts";
import type { DomainSpec } from "../hypervisor.ts";
import { element, render } from "./element.ts";
import type { Element } from "./element.ts";
import { checkSpec, domainElement } from "./frame.ts";
import { kernelCommandLine } from "./identity.ts";

const KERNEL_WORDS = ["console=hvc0", "quiet", "net.ifnames=0", "panic=-1"];

/**
 * `pv` runs on every Xen: the kernel calls the hypervisor for all that a processor's privileged instructions do. `pvh`
 * needs VT-x or SVM with nested pages, by which the processor itself holds the guest apart.
 */
export type XenGuest = "pv" | "pvh";

const GUEST_TYPES: Readonly<Record<XenGuest, Element>> = {
  pv: element("type", { arch: "x86_64", machine: "xenpv" }, "linux"),
  pvh: element("type", { arch: "x86_64", machine: "xenpvh" }, "xenpvh"),
};

/** Longest name of a Linux network interface. */
const INTERFACE_NAME_MAX = 15;

/**
 * Xen's tools make a domain's interface themselves and put it on a bridge: this one, beside the guest's end of the
 * link. Throws E_DOMAIN when the link has none.
 */
export function xenBridge(spec: DomainSpec): string {
  const { guestInterfaceName } = spec.identity.link;
  if (guestInterfaceName === undefined) {
    throw new AgentError("E_DOMAIN", "A xen domain needs a veth link; attach it with kind veth.");
  }
  const name = `xb${guestInterfaceName}`;
  if (name.length <= INTERFACE_NAME_MAX) return name;
  throw new AgentError(
    "E_DOMAIN",
    `The link's end ${guestInterfaceName} needs a name of at most 13 characters.`,
  );
}

/** The bridge that the XML of one of our xen domains names. */
export function xenBridgeOf(xml: string): string | undefined {
  return /<source\s[^<>]*bridge=["'](xb[^"']+)["']/.exec(xml)?.[1];
}

/** The name in the XML of a domain. */
export function xenNameOf(xml: string): string | undefined {
  return /<name>([a-z0-9.-]+)<\/name>/.exec(xml)?.[1];
}

/** Throws E_DOMAIN when the description is wrong. */
export function xenXml(spec: DomainSpec, guest: XenGuest = "pv"): string {
  checkSpec(spec);
  if (spec.disk.kind !== "qcow2") {
    throw new AgentError(
      "E_DOMAIN",
      "A xen domain boots a qcow2 disk with our kernel or the release's, nothing else; name another image.",
    );
  }
  const os = element(
    "os",
    {},
    GUEST_TYPES[guest],
    element("kernel", {}, spec.disk.kernel),
    element("initrd", {}, spec.disk.initramfs),
    element(
      "cmdline",
      {},
      kernelCommandLine([...KERNEL_WORDS, ...(spec.disk.kernelWords ?? [])], spec.identity),
    ),
  );
  const devices = element(
    "devices",
    {},
    element(
      "disk",
      { type: "file", device: "disk" },
      element("driver", { name: "qemu", type: "qcow2" }),
      element("source", { file: spec.disk.path }),
      element("target", { dev: "xvda", bus: "xen" }),
    ),
    element(
      "interface",
      { type: "bridge" },
      element("mac", { address: spec.identity.link.mac }),
      element("source", { bridge: xenBridge(spec) }),
    ),
    element("console", { type: "pty" }, element("target", { type: "xen", port: 0 })),
  );
  return render(domainElement("xen", spec, [os, devices]));
}
