/** Cloud images: a disk with partitions and a boot loader of its own, as qcow2 or raw. */
import { chmod, chown, mkdir, rename, rmdir } from "node:fs/promises";
import { join } from "node:path";
import { z } from "zod";
import { run } from "../build/command.ts";
import { DISK_BYTES_MAX } from "./limits.ts";
import { format } from "./tar-stream.ts";

export const cloudDiskFile = "disk.qcow2";

const info = z.object({
  "virtual-size": z.number().int().nonnegative(),
  encrypted: z.boolean().optional(),
  "backing-filename": z.string().optional(),
  "full-backing-filename": z.string().optional(),
  "format-specific": z
    .object({ data: z.object({ "data-file": z.string().optional() }).loose() })
    .loose()
    .optional(),
});

/** nobody, nogroup */
const nobody = 65_534;
/** What reading a disk may take, bytes and s of processor time: a disk made to be expensive ends here. */
const memoryBytesMax = 1024 ** 3;
const processorSecondsMax = 1_800;

/**
 * Copies the disk into `output` as qcow2 that names no other file. Its headers are read by qemu-img, as nobody and
 * within limits. Throws E_IMAGE_FORMAT.
 */
export async function takeCloudDisk(
  file: string,
  kind: "qcow2" | "raw",
  output: string,
  signal?: AbortSignal,
): Promise<void> {
  await chmod(file, 0o444);
  const described = info.safeParse(
    JSON.parse(await asNobody(["info", "--output=json", "-f", kind, file], signal)),
  );
  if (!described.success) throw format("qemu-img does not say what it holds", described.error);
  const facts = described.data;
  const others = [
    facts["backing-filename"],
    facts["full-backing-filename"],
    facts["format-specific"]?.data["data-file"],
  ].find((name) => name !== undefined);
  if (others !== undefined) {
    const name = JSON.stringify(others.slice(0, 200));
    throw format(
      `it names another file, ${name}, as its contents; flatten it with "qemu-img convert -O qcow2"`,
    );
  }
  if (facts.encrypted === true) throw format("it is encrypted");
  if (facts["virtual-size"] > DISK_BYTES_MAX) throw format(`its disk has more than ${DISK_BYTES_MAX} bytes`);
  const box = join(output, "box");
  await mkdir(box, { mode: 0o700 });
  await chown(box, nobody, nobody);
  await asNobody(["convert", "-f", kind, "-O", "qcow2", file, join(box, cloudDiskFile)], signal);
  await rename(join(box, cloudDiskFile), join(output, cloudDiskFile));
  await rmdir(box);
  await chown(join(output, cloudDiskFile), 0, 0);
}

function asNobody(words: readonly string[], signal?: AbortSignal): Promise<string> {
  const who = ["--reuid", String(nobody), "--regid", String(nobody), "--clear-groups", "--no-new-privs"];
  const limits = [`--as=${memoryBytesMax}`, `--cpu=${processorSecondsMax}`];
  return run("setpriv", [...who, "--", "prlimit", ...limits, "--", "qemu-img", ...words], { signal });
}
