/** What libvirt's lxc driver loses sight of as it starts is started again, with a new link, as the life cycle does. */
import type { DomainSpec, Hypervisor } from "../../domain/hypervisor.ts";
import { LibvirtError } from "../../domain/libvirt/rpc/error.ts";

/** As many as the stage `creating-domain` has; one in thirty fails on a busy machine. */
const ATTEMPTS = 4;

/** `hypervisor` with a `create` that tries again what is worth it; `relink` makes the container's link anew. */
export function persistent(
  hypervisor: Hypervisor,
  relink: (spec: DomainSpec) => void | Promise<void>,
): Hypervisor {
  const create: Hypervisor["create"] = async (spec, signal) => {
    for (let attempt = 1; ; attempt++) {
      try {
        return await hypervisor.create(spec, signal);
      } catch (error) {
        // What libvirt refused itself, it would refuse again.
        const { code } = error as { readonly code?: string };
        if (code !== "E_LIBVIRT" || error instanceof LibvirtError || attempt === ATTEMPTS) throw error;
        await relink(spec);
      }
    }
  };
  return new Proxy(hypervisor, {
    get: (target, key) => {
      if (key === "create") return create;
      const value: unknown = Reflect.get(target, key);
      return typeof value === "function" ? (value.bind(target) as unknown) : value;
    },
  });
}
