/** Programs of other people that the product calls, what for, and the Debian packages that bring them. Pure. */

export interface ProgramGroup {
  readonly name: string;
  /** The product cannot work without; else only what is named in `needed` cannot. */
  readonly required: boolean;
  readonly needed: string;
  readonly programs: Readonly<Record<string, string>>;
}

export const PROGRAM_GROUPS: readonly ProgramGroup[] = [
  {
    name: "network programs",
    required: true,
    needed: "to make links, attach programs and count",
    programs: { ip: "iproute2", tc: "iproute2", nft: "nftables", bpftool: "bpftool" },
  },
  {
    name: "libvirt programs",
    required: true,
    needed: "to run domains",
    programs: { libvirtd: "libvirt-daemon", virsh: "libvirt-clients" },
  },
  {
    name: "QEMU",
    required: true,
    needed: "to run virtual machines, make their disks and prove that they boot",
    programs: {
      "qemu-system-x86_64": "qemu-system-x86",
      "qemu-img": "qemu-utils",
      busybox: "busybox-static",
    },
  },
  {
    name: "image programs",
    required: true,
    needed: "to build the base image",
    programs: {
      mmdebstrap: "mmdebstrap",
      "dpkg-deb": "dpkg",
      genext2fs: "genext2fs",
      tune2fs: "e2fsprogs",
      lz4: "lz4",
      setpriv: "util-linux",
      flock: "util-linux",
    },
  },
  {
    name: "testbed programs",
    required: true,
    needed: "to make nodes from namespaces",
    programs: { tini: "tini", unshare: "util-linux", nsenter: "util-linux", mount: "mount" },
  },
  {
    name: "looking at traffic",
    required: false,
    needed: "to see marks with your own eyes",
    programs: { tcpdump: "tcpdump", ping: "iputils-ping" },
  },
];

/** One command for all packages, each named once. */
export function installCommand(packages: Iterable<string>): string {
  return `apt-get install --yes --no-install-recommends ${[...new Set(packages)].toSorted().join(" ")}`;
}
