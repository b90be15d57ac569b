/**
 * Finds out what domains can run on, by booting something. Best first: hardware virtualization isolates best and is
 * fast (kvm, then xen, which needs the whole machine); emulation isolates as well and is slow; containers are the
 * fastest and share the host's kernel, so that an application that needs another kernel, or escapes, is not contained.
 */
import { mkdir, readFile, rename, stat, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { z } from "zod";
import type { HypervisorKind } from "./hypervisor.ts";
import { Connection } from "./libvirt/connection.ts";
import { FLAVOURS } from "./libvirt/flavours.ts";
import { examine, noHypervisor } from "./probe/verdict.ts";
import type { ProbeOptions, Verdict } from "./probe/verdict.ts";

export type { ProbeOptions, Verdict } from "./probe/verdict.ts";

/** What runs virtual machines. */
const EMULATOR = "/usr/bin/qemu-system-x86_64";

/** Order of preference. */
export const HYPERVISOR_KINDS: readonly HypervisorKind[] = ["kvm", "xen", "qemu", "lxc"];

export interface ProbeResult {
  readonly kind: HypervisorKind;
  /** One clause: what was seen of it. */
  readonly reason: string;
  /** In the order in which they were examined; those after the first that works were not. */
  readonly verdicts: readonly Verdict[];
}

/**
 * The wanted kind, or the best that works. Verdicts are remembered until the next boot of the machine or change of
 * libvirt, QEMU or kernel; failures are examined again. Throws E_NO_HYPERVISOR with the reasons, E_NO_LIBVIRT.
 */
export async function probeHypervisor(
  options: ProbeOptions & { readonly prefer: HypervisorKind | "auto" },
): Promise<ProbeResult> {
  const memory = await Memory.open(options);
  const verdicts: Verdict[] = [];
  for (const kind of options.prefer === "auto" ? HYPERVISOR_KINDS : [options.prefer]) {
    const verdict = memory.recall(kind) ?? (await examine(kind, options));
    verdicts.push(verdict);
    if (!verdict.works) continue;
    await memory.keep(verdict);
    return { kind, reason: verdict.reason, verdicts };
  }
  throw noHypervisor(verdicts);
}

/** All four, for people who ask what this machine lacks. Boots each; remembers nothing. */
export async function examineHypervisors(options: ProbeOptions): Promise<Verdict[]> {
  const verdicts: Verdict[] = [];
  for (const kind of HYPERVISOR_KINDS) verdicts.push(await examine(kind, options));
  return verdicts;
}

/** What `probeHypervisor` proved here last, as long as the machine has not been booted since; for `doctor`. */
export async function recallProbe(cacheDirectory: string): Promise<readonly Verdict[]> {
  const text = await readFile(join(cacheDirectory, MEMORY_FILE), "utf8").catch(() => "");
  const parsed = fileSchema.safeParse(parseJson(text));
  const key = parsed.success ? parseJson(parsed.data.key) : undefined;
  const { bootId } = (key ?? {}) as { readonly bootId?: unknown };
  return parsed.success && bootId === (await currentBoot()) ? parsed.data.verdicts : [];
}

async function currentBoot(): Promise<string> {
  return (await readFile("/proc/sys/kernel/random/boot_id", "utf8")).trim();
}

const MEMORY_FILE = "hypervisor-probe.json";

const kindSchema = z.enum(["kvm", "xen", "qemu", "lxc"]);
const fileSchema = z.strictObject({
  key: z.string(),
  verdicts: z.array(z.strictObject({ kind: kindSchema, works: z.literal(true), reason: z.string() })),
});
type FileContents = z.infer<typeof fileSchema>;

/** What was proven since the machine booted. */
class Memory {
  readonly #file: string;
  readonly #contents: FileContents;

  private constructor(file: string, contents: FileContents) {
    this.#file = file;
    this.#contents = contents;
  }

  static async open(options: ProbeOptions): Promise<Memory> {
    const file = join(options.cacheDirectory, MEMORY_FILE);
    const key = await circumstances(options);
    const text = await readFile(file, "utf8").catch(() => "");
    const parsed = fileSchema.safeParse(parseJson(text));
    const remembered = parsed.success && parsed.data.key === key ? parsed.data : undefined;
    return new Memory(file, remembered ?? { key, verdicts: [] });
  }

  recall(kind: HypervisorKind): Verdict | undefined {
    return this.#contents.verdicts.find((verdict) => verdict.kind === kind);
  }

  async keep({ kind, reason }: Verdict): Promise<void> {
    if (this.recall(kind) !== undefined) return;
    this.#contents.verdicts.push({ kind, works: true, reason });
    await mkdir(join(this.#file, ".."), { recursive: true });
    await writeFile(`${this.#file}.new`, JSON.stringify(this.#contents));
    await rename(`${this.#file}.new`, this.#file);
  }
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

/** Changes whenever what was proven may no longer hold. Throws E_NO_LIBVIRT. */
async function circumstances({ socket, kernel }: ProbeOptions): Promise<string> {
  const libVersion = await libvirtVersion(socket);
  const bootId = await currentBoot();
  const kernelTime = kernel === undefined ? 0 : (await stat(kernel)).mtimeMs;
  // libvirt may have probed another QEMU than the one that is there now, which is upgraded without a boot.
  const emulatorTime = await stat(EMULATOR).then(
    ({ mtimeMs }) => mtimeMs,
    () => 0,
  );
  return JSON.stringify({ bootId, libVersion, socket, kernel: kernel ?? null, kernelTime, emulatorTime });
}

/** Any driver will do; a daemon that has none of ours is told apart later, one by one. */
async function libvirtVersion(socket: string): Promise<number> {
  const refusals: unknown[] = [];
  for (const uri of new Set(Object.values(FLAVOURS).map((flavour) => flavour.uri))) {
    try {
      const connection = await Connection.open({ socket, uri });
      await connection.close();
      return connection.libVersion;
    } catch (error) {
      refusals.push(error);
    }
  }
  throw refusals[0];
}
