/** What the maps hold for each service: its name, what it advertises, where its clients go, its policy. */
import { PATH } from "./structs.ts";
import type { ClientPath, ServicePolicy } from "../../control/contract.ts";
import type { Maps } from "./pins.ts";
import type { service as serviceStruct } from "./structs.ts";

export type Service = ReturnType<typeof serviceStruct.decode>;

/** Changes some fields of a service, which from now on is known: what marks say about it is remembered. */
export function changeService(maps: Maps, tag: number, change: Partial<Service>): void {
  const none: Service = {
    advertisement: 0,
    path_version: 0,
    path: PATH.none,
    open_to_unmanaged: 0,
    pad: undefined,
    name: "",
  };
  maps.services.set(tag, { ...(maps.services.get(tag) ?? none), ...change });
}

export function readClientPaths(maps: Maps): Readonly<Record<string, ClientPath>> {
  const paths = maps.services.entries().flatMap(([, service]) => {
    const path = toClientPath(service);
    return path === undefined ? [] : [[service.name, path] as const];
  });
  return Object.fromEntries(paths);
}

export function readPolicies(maps: Maps): Readonly<Record<string, ServicePolicy>> {
  const open = maps.services.entries().filter(([, service]) => service.open_to_unmanaged !== 0);
  return Object.fromEntries(open.map(([, service]) => [service.name, { unmanagedPeers: "allow" }]));
}

function toClientPath(service: Service): ClientPath | undefined {
  switch (service.path) {
    case PATH.direct:
      return { kind: "direct", version: service.path_version };
    case PATH.proxy:
      return { kind: "proxy" };
    case PATH.closed:
      return { kind: "closed" };
    default:
      return undefined;
  }
}
