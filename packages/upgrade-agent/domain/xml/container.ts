/** Containers of libvirt's lxc driver, with a user namespace: their root is nobody on the host. Pure. */
import { AgentError } from "../../errors.ts";
import { idCount, idShift } from "../../image/build/shift.ts";
import type { DomainSpec, RootTools } from "../hypervisor.ts";
import { element, render } from "./element.ts";
import type { Element } from "./element.ts";
import { checkSpec, domainElement } from "./frame.ts";
import { containerEnvironment } from "./identity.ts";

/** Where the container sees its console log: libvirt knows only terminals here, which keep nothing. */
const CONSOLE_IN_CONTAINER = "/var/log/console.log";

/** Microseconds over which the kernel accounts a container's CPU time. */
const CPU_PERIOD_US = 100_000;

/** First programs of the base image; the init is `../../image/base/files/sbin/vm-init`. */
const baseTools: RootTools = { busybox: "/bin/busybox", init: "/sbin/vm-init" };

/** Throws E_DOMAIN for a wrong description. */
export function containerXml(spec: DomainSpec): string {
  checkSpec(spec);
  const { guestInterfaceName } = spec.identity.link;
  if (spec.disk.kind !== "directory") {
    throw new AgentError("E_DOMAIN", "An lxc domain boots a directory, not a disk; prepare its disk again.");
  }
  if (guestInterfaceName === undefined) {
    throw new AgentError("E_DOMAIN", "An lxc domain needs a veth link; attach it with kind veth.");
  }
  const source = element("source", {}, element("interface", {}, guestInterfaceName));
  const quota = element("quota", {}, String(spec.vcpus * CPU_PERIOD_US));
  return render(
    domainElement("lxc", spec, [
      element("cputune", {}, element("period", {}, String(CPU_PERIOD_US)), quota),
      ...containerParts({
        root: spec.disk.path,
        consoleLog: spec.consoleLog,
        tools: spec.disk.tools ?? baseTools,
        environment: containerEnvironment(spec.identity),
        devices: [element("hostdev", { mode: "capabilities", type: "net" }, source)],
      }),
    ]),
  );
}

/** What every container has. Its busybox is static, so it starts whatever else the root holds. */
export function containerParts(options: {
  readonly root: string;
  readonly consoleLog: string;
  readonly tools: RootTools;
  readonly environment: readonly (readonly [string, string])[];
  readonly devices: readonly Element[];
}): Element[] {
  const start = `exec ${options.tools.init} >>${CONSOLE_IN_CONTAINER} 2>&1 </dev/null`;
  const words = ["sh", "-c", start].map((word) => element("initarg", {}, word));
  const environment = options.environment.map(([name, value]) => element("initenv", { name }, value));
  const map = { start: 0, target: idShift, count: idCount };
  return [
    element(
      "os",
      {},
      element("type", {}, "exe"),
      element("init", {}, options.tools.busybox),
      ...words,
      ...environment,
    ),
    element("idmap", {}, element("uid", map), element("gid", map)),
    element("features", {}, element("capabilities", { policy: "default" }), element("privnet")),
    element(
      "devices",
      {},
      mounted(options.root, "/"),
      mounted(options.consoleLog, CONSOLE_IN_CONTAINER),
      ...options.devices,
      element("console", { type: "pty" }),
    ),
  ];
}

function mounted(from: string, to: string): Element {
  return element(
    "filesystem",
    { type: "mount" },
    element("source", { dir: from }),
    element("target", { dir: to }),
  );
}
