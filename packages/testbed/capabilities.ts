/**
 * libvirt probes every QEMU binary before it starts the first machine, which takes 2 to 12 s. One node does so, and what
 * it finds is given to the others and kept for the next testbed. libvirt itself throws away what is out of date.
 */
import { cp, mkdir, rename, rm } from "node:fs/promises";
import { existsSync } from "node:fs";
import { dirname, join } from "node:path";
import { run } from "./command.ts";
import type { Layout } from "./layout.ts";
import { CAPABILITIES_ROOT } from "./node/files.ts";
import { commandAt } from "./use.ts";

const CAPABILITIES = "/var/cache/libvirt/qemu/capabilities";

/** Nodes whose libvirtd was asked already keep what they found out themselves, which is the same. */
export async function shareCapabilities(layout: Layout): Promise<void> {
  const [first, ...others] = layout.nodes;
  if (first === undefined) return;
  await run(
    await commandAt({ name: layout.name, node: first.name }, [
      "virsh",
      "-c",
      "qemu:///system",
      "capabilities",
    ]),
  );
  const found = join(first.directory, CAPABILITIES);
  if (!existsSync(found)) return;
  for (const other of others) await copy(found, join(other.directory, CAPABILITIES));
  await keep(found, join(CAPABILITIES_ROOT, CAPABILITIES), layout.name);
}

async function copy(from: string, to: string): Promise<void> {
  await cp(from, to, { recursive: true, preserveTimestamps: true });
}

/** In one step, so that another testbed never copies half a file. */
async function keep(from: string, to: string, name: string): Promise<void> {
  const draft = `${to}.${name}`;
  await mkdir(dirname(to), { recursive: true });
  await rm(draft, { recursive: true, force: true });
  await copy(from, draft);
  await rm(to, { recursive: true, force: true });
  await rename(draft, to).catch(() => rm(draft, { recursive: true, force: true }));
}
