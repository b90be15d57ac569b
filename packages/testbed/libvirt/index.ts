/** libvirtd without systemd: its files and command line, and a private daemon for tests and probes. */
export {
  ensureQemuUser,
  LIBVIRT_DIRECTORIES,
  LIBVIRT_SOCKET,
  LIBVIRTD_PID_FILE,
  libvirtdCommand,
  QEMU_USER,
  writeLibvirtHome,
} from "./config.ts";
export { startLibvirtd } from "./daemon.ts";
export type { PrivateLibvirtd } from "./daemon.ts";
