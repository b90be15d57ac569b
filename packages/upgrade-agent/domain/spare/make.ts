/** Making a spare: a machine without identity boots, says that it waits, and is saved. */
import { dirname, join } from "node:path";
import { AgentError } from "../../errors.ts";
import type { ImageStore } from "../../image/contract.ts";
import type { Hypervisor, MachineSaving, SpareSpec } from "../hypervisor.ts";
import { awaitReady } from "./line.ts";
import type { Shape } from "./policy.ts";
import { hash, machineName, Shelf } from "./shelf.ts";
import type { MachineDisk, Spare } from "./shelf.ts";

/** Milliseconds until it waits: 3 s on a quiet machine, a minute on one where many boot. */
const BOOT_TIMEOUT_MS = 180_000;

export interface MakeOptions {
  readonly hypervisor: Hypervisor;
  readonly saving: MachineSaving;
  readonly images: ImageStore;
  readonly shelf: Shelf;
}

export function specOf(directory: string, disk: MachineDisk, { memoryMiB, vcpus }: Shape): SpareSpec {
  return {
    name: machineName(directory),
    disk,
    memoryMiB,
    vcpus,
    consoleLog: join(directory, "console.log"),
    socket: join(directory, "line"),
  };
}

/** Whatever goes wrong, nothing of it stays. */
export async function makeSpare(
  { hypervisor, saving, images, shelf }: MakeOptions,
  name: string,
  shape: Shape,
  signal: AbortSignal,
): Promise<Spare> {
  await shelf.remove(name);
  let machine: string | undefined;
  try {
    const image = shape.base === undefined ? {} : { digest: shape.base };
    const disk = await images.prepareDisk(name, "qcow2", image);
    if (disk.kind !== "qcow2") throw new AgentError("E_IMAGE_UNFIT", "Only bases of ours become spares.");
    const directory = dirname(disk.path);
    const spec = specOf(directory, disk, shape);
    machine = spec.name;
    await images.useDisk(name);
    const circumstances = hash(await saving.circumstances(spec));
    const memory = join(directory, "memory.save");
    const line = { socket: spec.socket, timeoutMs: BOOT_TIMEOUT_MS, signal };
    await saving.save(spec, memory, () => awaitReady(line), signal);
    await shelf.finish(name, directory, shape, circumstances);
    const made = await shelf.find(name);
    if (made === undefined)
      throw new AgentError("E_DOMAIN", `The spare ${name} is gone; something removed it.`);
    return made;
  } catch (error) {
    // Normally gone with the connection; a libvirtd that was killed meanwhile has forgotten that it should be.
    if (machine !== undefined) await hypervisor.destroy(machine).catch(() => undefined);
    await shelf.remove(name);
    throw error;
  }
}
