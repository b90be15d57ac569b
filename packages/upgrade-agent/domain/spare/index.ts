/**
 * Warm spares: a machine of an image that was booted once up to where it would learn who it is, and saved. A domain
 * that such a spare fits is a clone of it, restored instead of booted; every other one boots as ever.
 *
 *     const spares = createSpares({ hypervisor, images, budgetMiB: 512 });
 *     await spares.open();                                     // takes up what an earlier process has left
 *     await spares.prepare({ memoryMiB: 192, vcpus: 1 });      // boots and saves one, unless it is there
 *     const { from, why } = await spares.create(spec, signal); // as `hypervisor.create`; from "spare" or "cold"
 *     await spares.close();
 *
 * `spec.disk` is what `images.prepareDisk(spec.name, …)` gave, not yet booted.
 */
import { WarmSpares } from "./spares.ts";
import type { Spares, SparesOptions } from "./spares.ts";

export type { Shape } from "./policy.ts";
export type { Spares, SparesOptions, Start } from "./spares.ts";

export function createSpares(options: SparesOptions): Spares {
  return new WarmSpares(options);
}
