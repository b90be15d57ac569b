/** The four hypervisors that we drive through libvirt. */
import { idShift } from "../../image/build/shift.ts";
import type { HypervisorKind } from "../hypervisor.ts";
import { containerXml } from "../xml/container.ts";
import { machineXml, QEMU_USER } from "../xml/machine.ts";
import { xenXml } from "../xml/xen.ts";
import { systemUser } from "./console-log.ts";
import { removeForgotten } from "./forgotten-containers.ts";
import { destroyForgotten } from "./forgotten-guests.ts";
import type { Flavour } from "./driver.ts";
import { assertSeen } from "./unseen-containers.ts";
import { xenHost } from "./xen-host.ts";

const QEMU = {
  uri: "qemu:///system",
  linkKind: "tap",
  diskKind: "qcow2",
  consoleOwner: () => systemUser(QEMU_USER),
} as const;

export const FLAVOURS: Readonly<Record<HypervisorKind, Flavour>> = {
  kvm: {
    kind: "kvm",
    ...QEMU,
    xml: (spec) => machineXml("kvm", spec),
    saving: { xml: (spec, line) => machineXml("kvm", spec, line), dependsOnHost: true },
  },
  qemu: {
    kind: "qemu",
    ...QEMU,
    xml: (spec) => machineXml("qemu", spec),
    saving: { xml: (spec, line) => machineXml("qemu", spec, line), dependsOnHost: false },
  },
  xen: {
    kind: "xen",
    uri: "xen:///system",
    linkKind: "veth",
    diskKind: "qcow2",
    xml: xenXml,
    host: xenHost,
    sweep: destroyForgotten,
  },
  lxc: {
    kind: "lxc",
    uri: "lxc:///system",
    linkKind: "veth",
    diskKind: "directory",
    xml: containerXml,
    consoleOwner: () => Promise.resolve({ uid: idShift, gid: idShift }),
    confirm: assertSeen,
    shutdown: { bySignal: true },
    sweep: removeForgotten,
  },
};
