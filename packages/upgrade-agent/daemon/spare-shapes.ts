/** What warm spares the versions that run here would be started from, and the next ones probably will. */
import type { Shape } from "../domain/index.ts";
import type { Journal } from "../journal/journal.ts";
import type { Manifest, ReleaseStore } from "../release/index.ts";

export async function shapesInUse(
  journal: Pick<Journal, "upgrades">,
  releases: Pick<ReleaseStore, "hasMetadata" | "metadata">,
): Promise<Shape[]> {
  const shapes: Shape[] = [];
  for (const { service, version, stage } of journal.upgrades()) {
    if (stage !== "running" || !(await releases.hasMetadata(service, version))) continue;
    const shape = shapeOf((await releases.metadata(service, version)).statement.manifest);
    if (shape !== undefined) shapes.push(shape);
  }
  return shapes;
}

/** Undefined for what is never cloned: a release with an image or a kernel of its own. */
export function shapeOf({
  memoryMiB,
  vcpus,
  image = {},
}: Pick<Manifest, "memoryMiB" | "vcpus" | "image">): Shape | undefined {
  const { base = "newest", ...own } = image;
  if (Object.values(own).some((value) => value !== undefined)) return undefined;
  return { memoryMiB, vcpus, ...(base === "newest" ? {} : { base }) };
}
