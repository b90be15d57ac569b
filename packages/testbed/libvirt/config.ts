/**
 * What libvirtd needs on a machine without systemd, below any root directory: configuration files, directories with
 * their owners, and the command line. Who mounts these directories over the default paths is none of its business.
 */
import { execFileSync } from "node:child_process";
import { existsSync } from "node:fs";
import { chown, cp, mkdir, writeFile } from "node:fs/promises";
import { join } from "node:path";

/** Paths at which libvirtd, running as root, keeps everything; a private daemon wants all of them for itself. */
export const LIBVIRT_DIRECTORIES = [
  "/etc/libvirt",
  "/run/libvirt",
  "/var/lib/libvirt",
  "/var/log/libvirt",
  "/var/cache/libvirt",
] as const;

/** Where libvirtd listens, on a real machine and on a node. */
export const LIBVIRT_SOCKET = "/run/libvirt/libvirt-sock";

/** In a private directory: the default, /run/libvirtd.pid, is locked by the first daemon of the machine. */
export const LIBVIRTD_PID_FILE = "/run/libvirt/libvirtd.pid";

/** The unprivileged user, and group, that QEMU runs as. */
export const QEMU_USER = "libvirt-qemu";

/** Root alone may connect: whoever speaks to libvirtd is root in all but name. */
const LIBVIRTD_CONF = `unix_sock_dir = "/run/libvirt"
unix_sock_rw_perms = "0700"
unix_sock_ro_perms = "0700"
unix_sock_admin_perms = "0700"
auth_unix_ro = "none"
auth_unix_rw = "none"
`;

/**
 * stdio_handler: virtlogd is not there. namespaces: QEMU's private /dev needs capabilities that a container lacks.
 * dynamic_ownership: libvirtd gives disks and console logs to QEMU's user. cgroup_controllers: emulated machines are
 * bounded by their own memory, and the groups' names would collide between daemons that share a tree.
 */
const QEMU_CONF = `user = "${QEMU_USER}"
group = "${QEMU_USER}"
dynamic_ownership = 1
remember_owner = 0
stdio_handler = "file"
security_driver = "none"
namespaces = [ ]
cgroup_controllers = [ ]
max_core = 0
`;

const LXC_CONF = `security_driver = "none"
`;

/** Makes the system user that QEMU runs as, unless it is there. */
export function ensureQemuUser(): { readonly uid: number; readonly gid: number } {
  if (idOf("-u") === undefined) {
    execFileSync("groupadd", ["--force", "--system", QEMU_USER]);
    const home = ["--no-create-home", "--home-dir", "/var/lib/libvirt", "--shell", "/usr/sbin/nologin"];
    execFileSync("useradd", ["--system", "--gid", QEMU_USER, ...home, QEMU_USER]);
  }
  const uid = idOf("-u");
  const gid = idOf("-g");
  if (uid === undefined || gid === undefined) throw new Error(`useradd did not make the user ${QEMU_USER}`);
  return { uid, gid };
}

function idOf(option: "-u" | "-g"): number | undefined {
  try {
    return Number(
      execFileSync("id", [option, QEMU_USER], { stdio: ["ignore", "pipe", "ignore"] }).toString(),
    );
  } catch {
    return undefined;
  }
}

/**
 * Writes configuration and directories below `root`, laid out as on a machine (`root/etc/libvirt/qemu.conf` …).
 * `capabilitiesFrom`, another such root, spares the first start its probe of QEMU (2 to 12 s). Idempotent.
 */
export async function writeLibvirtHome(root: string, capabilitiesFrom?: string): Promise<void> {
  const { uid, gid } = ensureQemuUser();
  for (const directory of LIBVIRT_DIRECTORIES)
    await mkdir(join(root, directory), { recursive: true, mode: 0o755 });
  for (const driver of ["qemu", "lxc"])
    await mkdir(join(root, "/var/log/libvirt", driver), { recursive: true });
  await writeFile(join(root, "/etc/libvirt/libvirtd.conf"), LIBVIRTD_CONF);
  await writeFile(join(root, "/etc/libvirt/qemu.conf"), QEMU_CONF);
  await writeFile(join(root, "/etc/libvirt/lxc.conf"), LXC_CONF);
  const qemuHome = join(root, "/var/lib/libvirt/qemu");
  await mkdir(qemuHome, { recursive: true, mode: 0o751 });
  await chown(qemuHome, uid, gid);
  const cache = "/var/cache/libvirt/qemu/capabilities";
  if (capabilitiesFrom !== undefined && existsSync(join(capabilitiesFrom, cache))) {
    await cp(join(capabilitiesFrom, cache), join(root, cache), { recursive: true, preserveTimestamps: true });
  }
}

/**
 * libvirt lets QEMU's user open /dev/kvm while it probes, and later finds that the user may not: then it throws its
 * findings away and probes anew at every turn, ten seconds per domain. So that user gets the device, in this view only.
 */
const WITH_KVM = `if [ -c /dev/kvm ] && [ "$(stat -c %G /dev/kvm)" != ${QEMU_USER} ]; then
  rm -f "$1" && mknod -m 660 "$1" c 10 232 && chgrp ${QEMU_USER} "$1" && mount --bind "$1" /dev/kvm
fi
shift
exec libvirtd "$@"`;

/**
 * Runs in the foreground, in a mount namespace of its own with the home's directories at the default paths. Orphans of
 * libvirtd must be reaped by the first process of its PID namespace (tini does): otherwise every QEMU that it ends
 * costs it 40 s of waiting.
 */
export function libvirtdCommand(): string[] {
  const options = ["--config", "/etc/libvirt/libvirtd.conf", "--pid-file", LIBVIRTD_PID_FILE];
  return ["sh", "-ec", WITH_KVM, "libvirtd", "/var/lib/libvirt/kvm", ...options];
}
