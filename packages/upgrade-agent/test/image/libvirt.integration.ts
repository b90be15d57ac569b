/** The base under a real libvirtd, from the empty disk to a command over SSH: both kinds of disk, both drivers. */
import { execFileSync } from "node:child_process";
import { chmodSync, existsSync, mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import t from "tap";
import { startLibvirtd } from "@version-manager/testbed/libvirt";
import { openHypervisor } from "../../domain/index.ts";
import type { DomainSpec, HypervisorKind } from "../../domain/hypervisor.ts";
import { persistent } from "../domain/persistent.ts";
import { generateDomainKey, openSession } from "../../remote/index.ts";
import { ip, removeLink } from "./link.ts";
import { missing, storeIn } from "./needs.ts";

const skip = missing("mmdebstrap", "libvirtd", "qemu-system-x86_64", "tini");
const { privateKey, publicKey } = generateDomainKey();
t.setTimeout(900_000);

const mac = "52:54:00:76:6d:20";
/** The router's part, inside the network namespace of libvirtd. */
const links = {
  qemu: { host: "vmim-l1", guest: undefined, add: "tuntap add vmim-l1 mode tap", address: "10.99.7.21" },
  lxc: {
    host: "vmim-l2",
    guest: "vmim-g2",
    add: `link add vmim-l2 type veth peer name vmim-g2 address ${mac}`,
    address: "10.99.7.22",
  },
} as const;

t.test("from a disk to a command", { skip }, async (t) => {
  const home = mkdtempSync(join(tmpdir(), "vmim-"));
  chmodSync(home, 0o711);
  // Mounts that are made here later have to be seen by libvirtd, which looks from a namespace of its own.
  execFileSync("mount", ["--bind", home, home]);
  execFileSync("mount", ["--make-shared", home]);
  const store = storeIn(home);
  const daemon = await startLibvirtd({ root: join(home, "libvirt"), name: "vmim-libvirt" });
  t.teardown(async () => {
    await daemon.stop();
    for (const name of await store.listDisks()) await store.removeDisk(name);
    removeLink("vmim-u");
    execFileSync("umount", [home]);
    rmSync(home, { recursive: true });
  });
  const inside = (command: string): void => {
    const [file = "", ...enter] = daemon.enter;
    execFileSync(file, [...enter, "sh", "-ec", command]);
  };
  await store.build({});
  ip("link add vmim-u type veth peer name vmim-d");
  ip("addr add 10.99.8.1/30 dev vmim-u");
  ip("link set vmim-u up");
  const [pid] = daemon.enter.filter((word) => /^\d+$/.test(word));
  ip(`link set vmim-d netns ${pid}`);
  inside("ip addr add 10.99.8.2/30 dev vmim-d; ip link set vmim-d up; echo 1 >/proc/sys/net/ipv4/ip_forward");
  ip("route add 10.99.7.16/28 via 10.99.8.2");

  for (const kind of ["lxc", "qemu"] satisfies HypervisorKind[]) {
    t.test(kind, async (t) => {
      const link = links[kind];
      const makeLink = (): void =>
        inside(`ip link delete ${link.host} 2>/dev/null || true
        ip ${link.add}; ip addr add 169.254.1.1/32 dev ${link.host}; ip link set ${link.host} up
        ip route add ${link.address}/32 dev ${link.host}; ip neigh add ${link.address} lladdr ${mac} dev ${link.host}`);
      const hypervisor = persistent(await openHypervisor({ kind, socket: daemon.socket }), makeLink);
      t.teardown(() => hypervisor.close());
      makeLink();
      const startedAt = performance.now();
      const since = (): string => `${((performance.now() - startedAt) / 1000).toFixed(2)} s`;
      const name = `vmim-${kind}`;
      const disk = await store.prepareDisk(name, hypervisor.diskKind);
      t.comment(`disk after ${since()}`);
      const consoleLog = join(home, `${name}.log`);
      const spec: DomainSpec = {
        name,
        identity: {
          hostname: name,
          service: "kv",
          version: 7,
          authorizedKey: publicKey,
          link: {
            interfaceName: link.host,
            ...(link.guest === undefined ? {} : { guestInterfaceName: link.guest }),
            mac,
            address: link.address,
            gateway: "169.254.1.1",
            managementAddress: link.address,
            mtu: 1484,
            ephemeralPorts: [32_768, 40_001],
          },
        },
        disk,
        memoryMiB: 192,
        vcpus: 1,
        consoleLog,
      };
      await hypervisor.create(spec);
      t.comment(`created after ${since()}`);
      const session = await openSession({ address: link.address, privateKey, deadlineMs: 120_000 });
      t.match(await session.exec("hostname; node -v"), { exitCode: 0, output: new RegExp(`^${name}\nv\\d`) });
      t.comment(`SSH command after ${since()}`);
      t.match(await session.exec("cat /proc/sys/net/ipv4/ip_local_port_range"), { output: "32768\t40001\n" });
      t.match(await session.exec("ip -o -4 address show eth0"), {
        output: new RegExp(` ${link.address}/32 `),
      });
      t.match(
        await session.exec("touch /opt/app/x && su -s /bin/sh nobody -c true && ls /dev/shm /dev/pts/ptmx"),
        {
          exitCode: 0,
        },
      );
      t.match(readFileSync(consoleLog, "latin1"), /^version-manager: ready/m);
      await session.close();
      await hypervisor.destroy(name);
      t.equal(await hypervisor.state(name), "absent");
      await store.removeDisk(name);
      t.notOk(existsSync(disk.path));
    });
  }
});
