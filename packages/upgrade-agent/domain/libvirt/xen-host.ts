/**
 * What a xen domain needs on the host besides libvirt: the bridge that joins its interface to the router's link, and
 * the way of its console to the domain's console log.
 */
import { execFile } from "node:child_process";
import { access, appendFile, lstat, mkdir, symlink, unlink } from "node:fs/promises";
import { join } from "node:path";
import { promisify } from "node:util";
import { AgentError } from "../../errors.ts";
import type { DomainSpec } from "../hypervisor.ts";
import { xenBridge, xenBridgeOf, xenNameOf } from "../xml/xen.ts";

const execute = promisify(execFile);

async function ip(...words: readonly string[]): Promise<void> {
  try {
    await execute("ip", words);
  } catch (error) {
    throw new AgentError(
      "E_DOMAIN",
      `ip ${words.join(" ")} failed: ${(error as Error).message.trim()}`,
      error,
    );
  }
}

async function exists(interfaceName: string): Promise<boolean> {
  return await ip("link", "show", "dev", interfaceName).then(
    () => true,
    () => false,
  );
}

/** Where xenconsoled keeps what guests print, when it was started with --log=guest. */
const CONSOLE_DIRECTORY = "/var/log/xen/console";

/**
 * xenconsoled alone reads the console, and appends it to a file of this name: a link that leads to the domain's log.
 * A file of an earlier domain of that name, which somebody else made, stays what it is.
 */
export async function leadXenConsole(spec: Pick<DomainSpec, "name" | "consoleLog">): Promise<void> {
  const link = consoleLinkOf(spec.name);
  await mkdir(CONSOLE_DIRECTORY, { recursive: true, mode: 0o755 });
  await removeLink(link);
  await symlink(spec.consoleLog, link).catch((error: NodeJS.ErrnoException) => {
    if (error.code !== "EEXIST") throw error;
  });
  const mend = "nothing follows unless xenconsoled keeps logs: XENCONSOLED_TRACE=guest in /etc/default/xen";
  await appendFile(spec.consoleLog, `version-manager: the console of ${spec.name}; ${mend}\n`);
}

/** Takes away what `leadXenConsole` made. */
export async function forgetXenConsole(name: string): Promise<void> {
  await removeLink(consoleLinkOf(name));
}

function consoleLinkOf(name: string): string {
  return join(CONSOLE_DIRECTORY, `guest-${name}.log`);
}

async function removeLink(path: string): Promise<void> {
  const found = await lstat(path).catch(() => undefined);
  if (found?.isSymbolicLink() === true) await unlink(path);
}

/** Seen on Xen 4.17: a guest whose disk cannot be opened starts all the same, and runs without one. */
async function requireDisk(path: string): Promise<void> {
  try {
    await access(path);
  } catch (error) {
    throw new AgentError("E_DOMAIN", `The disk ${path} cannot be opened; prepare it again.`, error);
  }
}

/**
 * Of the link's end on the bridge, as Xen gives its own. With the guest's address, which the router made it with, the
 * bridge would take for itself what is sent to the guest.
 */
const PORT_MAC = "fe:ff:ff:ff:ff:ff";

export const xenHost = {
  /** Makes bridge and link, again when they are there already. Throws E_DOMAIN, with nothing made when there is no disk. */
  async prepare(spec: DomainSpec): Promise<void> {
    await requireDisk(spec.disk.path);
    const bridge = xenBridge(spec);
    const { guestInterfaceName = "" } = spec.identity.link;
    if (!(await exists(bridge)))
      await ip("link", "add", "name", bridge, "type", "bridge", "forward_delay", "0");
    await ip("link", "set", "dev", guestInterfaceName, "address", PORT_MAC);
    await ip("link", "set", "dev", guestInterfaceName, "master", bridge, "up");
    await ip("link", "set", "dev", bridge, "up");
    await leadXenConsole(spec);
  },

  /** `xml` is the domain's, as libvirt gave it before the domain was undefined. */
  async release(xml: string): Promise<void> {
    const bridge = xenBridgeOf(xml);
    if (bridge !== undefined && (await exists(bridge))) await ip("link", "delete", "dev", bridge);
    const name = xenNameOf(xml);
    if (name !== undefined) await forgetXenConsole(name);
  },
};
