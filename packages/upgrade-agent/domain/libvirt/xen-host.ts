/** What a xen domain needs on the host besides libvirt: the bridge that joins its interface to the router's link. */
import { execFile } from "node:child_process";
import { appendFile } from "node:fs/promises";
import { promisify } from "node:util";
import { AgentError } from "../../errors.ts";
import type { DomainSpec } from "../hypervisor.ts";
import { xenBridge, xenBridgeOf } from "../xml/xen.ts";

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

export const xenHost = {
  /** Makes the bridge, again when it is there already. The console is xenconsoled's, so its log says where to look. */
  async prepare(spec: DomainSpec): Promise<void> {
    const bridge = xenBridge(spec);
    const { guestInterfaceName = "" } = spec.identity.link;
    if (!(await exists(bridge)))
      await ip("link", "add", "name", bridge, "type", "bridge", "forward_delay", "0");
    await ip("link", "set", "dev", guestInterfaceName, "master", bridge, "up");
    await ip("link", "set", "dev", bridge, "up");
    const place = `/var/log/xen/console/guest-${spec.name}.log, when XENCONSOLED_TRACE=guest is set`;
    await appendFile(spec.consoleLog, `xenconsoled keeps this console in ${place}.\n`);
  },

  /** `xml` is the domain's, as libvirt gave it before the domain was undefined. */
  async release(xml: string): Promise<void> {
    const bridge = xenBridgeOf(xml);
    if (bridge !== undefined && (await exists(bridge))) await ip("link", "delete", "dev", bridge);
  },
};
