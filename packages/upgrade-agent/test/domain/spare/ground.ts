/** A libvirtd of its own with a store of images and links to domains; everything is named `itsp-…` and goes with `t`. */
import { execFileSync } from "node:child_process";
import { chmodSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Test } from "tap";
import type { DomainLink } from "@version-manager/version-router";
import { startLibvirtd } from "@version-manager/testbed/libvirt";
import type { PrivateLibvirtd } from "@version-manager/testbed/libvirt";
import type { DomainSpec, Hypervisor } from "../../../domain/hypervisor.ts";
import { openHypervisor } from "../../../domain/index.ts";
import type { ImageStore } from "../../../image/contract.ts";
import { generateDomainKey, openSession } from "../../../remote/index.ts";
import type { Session } from "../../../remote/index.ts";
import { ip, removeLink } from "../../image/link.ts";
import { storeIn } from "../../image/needs.ts";

export const SIZE = { memoryMiB: 160, vcpus: 1 } as const;
const GATEWAY = "169.254.1.1";
const { privateKey, publicKey } = generateDomainKey();

export interface Ground {
  readonly home: string;
  readonly daemon: PrivateLibvirtd;
  readonly hypervisor: Hypervisor;
  readonly images: ImageStore;
  /** Runs where libvirtd runs. */
  readonly inside: (script: string) => string;
  /** Each with a link and a fresh disk of its own. */
  readonly spec: (index: number) => Promise<DomainSpec>;
  readonly session: (spec: DomainSpec) => Promise<Session>;
}

export async function prepareGround(t: Test): Promise<Ground> {
  const home = mkdtempSync(join(tmpdir(), "itsp-"));
  chmodSync(home, 0o711);
  const images = storeIn(home);
  const daemon = await startLibvirtd({ root: join(home, "libvirt"), name: "itsp-libvirt" });
  t.teardown(async () => {
    await daemon.stop();
    for (const name of await images.listDisks()) await images.removeDisk(name);
    removeLink("itsp-u");
    rmSync(home, { recursive: true, force: true });
  });
  const inside = (script: string): string => {
    const [file = "", ...enter] = daemon.enter;
    const command = [...enter, "sh", "-ec", script];
    return execFileSync(file, command, { encoding: "utf8", stdio: ["ignore", "pipe", "pipe"] }).trim();
  };
  await images.build({});
  const hypervisor = await openHypervisor({ kind: "qemu", socket: daemon.socket });
  t.teardown(() => hypervisor.close());
  joinNetworks(daemon, inside);
  return {
    home,
    daemon,
    hypervisor,
    images,
    inside,
    spec: async (index) => {
      const name = `itsp-${index}`;
      const disk = await images.prepareDisk(name, "qcow2");
      const whose = { hostname: name, service: "kv", version: index, authorizedKey: publicKey };
      const identity = { ...whose, link: makeLink(inside, index) };
      return { name, identity, disk, ...SIZE, consoleLog: join(home, `${name}.log`) };
    },
    session: (spec) =>
      openSession({
        address: spec.identity.link.managementAddress,
        privateKey,
        deadlineMs: 120_000,
      }),
  };
}

function joinNetworks(daemon: PrivateLibvirtd, inside: Ground["inside"]): void {
  removeLink("itsp-u");
  ip("link add itsp-u type veth peer name itsp-d");
  ip("addr add 10.99.12.1/30 dev itsp-u");
  ip("link set itsp-u up");
  ip(`link set itsp-d netns ${daemon.enter.find((word) => /^\d+$/.test(word))}`);
  inside(
    "ip addr add 10.99.12.2/30 dev itsp-d; ip link set itsp-d up; echo 1 >/proc/sys/net/ipv4/ip_forward",
  );
  ip("route add 10.99.11.0/24 via 10.99.12.2");
}

/** As the router makes it. */
function makeLink(inside: Ground["inside"], index: number): DomainLink {
  const [dev, address, mac] = [`itsp-t${index}`, `10.99.11.${index}`, `52:54:00:76:77:${10 + index}`];
  inside(`ip link show ${dev} >/dev/null 2>&1 && exit; ip tuntap add ${dev} mode tap
    ip addr add ${GATEWAY}/32 dev ${dev}; ip link set ${dev} up; ip route add ${address}/32 dev ${dev}
    ip neigh add ${address} lladdr ${mac} dev ${dev}`);
  return {
    interfaceName: dev,
    mac,
    address,
    gateway: GATEWAY,
    managementAddress: address,
    mtu: 1484,
    ephemeralPorts: [32_768, 40_001],
  };
}
