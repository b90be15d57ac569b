/** Guests of the compliance suite that do something, on a real Xen: the base's kernel, its initramfs, and the work. */
import { execFileSync } from "node:child_process";
import { existsSync, readFileSync, statSync } from "node:fs";
import { join } from "node:path";
import type { Working } from "../../domain/guests/cases.ts";
import { BASE_MARK, workingDisk, workingInitramfs, workWords } from "../../domain/guests/guests.ts";
import type { Linux } from "../../domain/guests/guests.ts";
import { identity, machineSpec } from "../../domain/specs.ts";

const BLOCK_BYTES = 512;

export function workingXenGuests(home: string, linux: Linux): Working {
  const initramfs = join(home, "work-initramfs");
  workingInitramfs(linux, initramfs);
  let made = 0;
  const spec: Working["spec"] = async (name, work, { memoryMiB, vcpus, diskMiB }) => {
    const number = made++;
    const [interfaceName, guestInterfaceName] = [`vmdomx${number}`, `vmdomy${number}`];
    const mac = `52:54:00:00:02:${number.toString(16).padStart(2, "0")}`;
    // Of the suite's other run in this machine.
    if (existsSync(`/sys/class/net/${interfaceName}`)) execFileSync("ip", ["link", "delete", interfaceName]);
    execFileSync("ip", ["link", "add", interfaceName, "type", "veth", "peer", "name", guestInterfaceName]);
    const path = await workingDisk(home, name, diskMiB);
    const kernelWords = workWords(work);
    return machineSpec(name, {
      identity: { ...identity, link: { ...identity.link, interfaceName, guestInterfaceName, mac } },
      disk: { kind: "qcow2", path, kernel: linux.kernel, initramfs, kernelWords },
      memoryMiB,
      vcpus,
      consoleLog: join(home, `${name}.machine.console.log`),
    });
  };
  return {
    spec,
    seesVcpus: true,
    noDiskRate: "Xen's tools have no rate for a guest's disk",
    diskBytes: (name) => statSync(join(home, `${name}.qcow2`)).blocks * BLOCK_BYTES,
    baseMark: () => {
      const raw = join(home, "work-base.look");
      execFileSync("qemu-img", ["convert", "-O", "raw", join(home, "work-base.qcow2"), raw]);
      return readFileSync(raw, "latin1").slice(0, BASE_MARK.length);
    },
  };
}
