/** What the tests of images need of a machine; a test says loudly what is missing. */
import { spawnSync } from "node:child_process";
import { createImageStore, type ImageStore } from "../../image/index.ts";

/** The base that all integration tests share, so that it is built once. */
export const cacheDirectory = process.env["VM_TEST_IMAGES"] ?? "/var/cache/version-manager/images";

/** `false`, or why the tests cannot run here: as tap's `skip` option takes it. */
export function missing(...programs: readonly string[]): string | false {
  if (process.getuid?.() !== 0) return "needs root";
  const absent = programs.filter((program) => spawnSync("sh", ["-c", `command -v ${program}`]).status !== 0);
  return absent.length === 0 ? false : `needs ${absent.join(", ")}`;
}

export function storeIn(stateDirectory: string, freeBytesMin?: number): ImageStore {
  return createImageStore({
    cacheDirectory,
    stateDirectory,
    ...(freeBytesMin === undefined ? {} : { freeBytesMin }),
  });
}
