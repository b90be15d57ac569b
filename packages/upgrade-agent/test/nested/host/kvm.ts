/** The emulated machine with real KVM: a processor that has SVM, kvm-amd, and a libvirt of its own. */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Test } from "tap";
import { missing, storeIn } from "../../image/needs.ts";
import { startHost } from "./machine.ts";
import type { Host } from "./machine.ts";
import { imageTrees, repositoryTree } from "./payload.ts";
import { buildRoot, hostPackages } from "./root.ts";

/** Why such a machine cannot run here, or false. */
export const skip = missing("mmdebstrap", "qemu-system-x86_64", "qemu-img", "ssh", "mke2fs", "setpriv");

const modules = [
  "kvm_amd",
  "fuse",
  "tun",
  "veth",
  "bridge",
  "nf_tables",
  "sch_ingress",
  "cls_bpf",
  "act_bpf",
];

/** Gone when `t` ends. With the base image of this machine, so that the one inside builds none. */
export async function startKvmHost(t: Test): Promise<{ readonly host: Host; readonly directory: string }> {
  const directory = mkdtempSync(join(tmpdir(), "vmnested-"));
  t.teardown(() => rmSync(directory, { recursive: true }));
  const onProgress = (step: string): void => t.comment(step);
  const root = await buildRoot({ packages: hostPackages, onProgress });
  const base = await storeIn(directory).build({ onProgress });
  const payload = [repositoryTree(), ...imageTrees(base)];
  const size = { cpu: "EPYC", vcpus: 2, memoryMiB: 5_120 };
  const host = await startHost({ name: "kvm", root, payload, ...size, modules, onProgress });
  t.teardown(() => host.stop());
  return { host, directory };
}
