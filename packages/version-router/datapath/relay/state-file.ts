/** The relay's state on disk. Beside the control socket, so on a tmpfs: it goes with the links when the machine does. */
import { mkdir, readFile, rename, rm, writeFile } from "node:fs/promises";
import { dirname } from "node:path";
import { z } from "zod";
import { RouterError } from "../../errors.ts";
import { VERSION_MAX } from "../../mark/mark.ts";
import { isPortSpec } from "../../ports/spec.ts";
import { NETWORK_MBIT_PER_S_MAX } from "../datapath.ts";
import { SLOTS } from "./state.ts";
import type { PortSpec } from "../../control/contract.ts";
import type { RelayState } from "./state.ts";

const version = z.int().min(1).max(VERSION_MAX);
const tag = z.int().min(1).max(0xffff);
const ports = z.array(z.custom<PortSpec>((value) => typeof value === "string" && isPortSpec(value)));

const StateSchema: z.ZodType<RelayState> = z.object({
  format: z.literal(1),
  serviceAddress: z.ipv4(),
  wasForwarding: z.boolean(),
  domains: z.array(
    z.object({
      slot: z
        .int()
        .min(0)
        .max(SLOTS - 1),
      service: z.string(),
      tag,
      version,
      link: z.enum(["tap", "veth"]),
      networkMbitPerS: z.int().min(1).max(NETWORK_MBIT_PER_S_MAX).exactOptional(),
      ports: z.object({ peer: ports, client: ports }),
    }),
  ),
  services: z.array(
    z.object({
      tag,
      name: z.string(),
      path: z
        .discriminatedUnion("kind", [
          z.object({ kind: z.literal("direct"), version }),
          z.object({ kind: z.literal("proxy") }),
          z.object({ kind: z.literal("closed") }),
        ])
        .optional(),
      advertisement: z
        .object({ version, status: z.enum(["running", "available", "retired", "aborted"]) })
        .optional(),
    }),
  ),
  managed: z.array(z.ipv4()),
});

/** Undefined when there is none. Throws E_KERNEL when it cannot be understood: its links may still be there. */
export async function loadState(file: string): Promise<RelayState | undefined> {
  let text: string;
  try {
    text = await readFile(file, "utf8");
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "ENOENT") return undefined;
    throw notUnderstood(file, error);
  }
  try {
    return StateSchema.parse(JSON.parse(text));
  } catch (error) {
    throw notUnderstood(file, error);
  }
}

/** Readers see the old file or the new one, never half of it. */
export async function saveState(file: string, state: RelayState): Promise<void> {
  await mkdir(dirname(file), { recursive: true });
  await writeFile(`${file}.new`, JSON.stringify(state), { mode: 0o600 });
  await rename(`${file}.new`, file);
}

export async function removeState(file: string): Promise<void> {
  await rm(file, { force: true });
}

function notUnderstood(file: string, cause: unknown): RouterError {
  return new RouterError("E_KERNEL", `${file} cannot be read; run "vm-router --destroy" first.`, cause);
}
