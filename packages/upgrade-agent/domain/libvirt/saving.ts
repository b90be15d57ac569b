/** `MachineSaving` over libvirt: a machine that ends with our connection, saved; and domains restored from the file. */
import { readFile } from "node:fs/promises";
import { release } from "node:os";
import type { DomainSpec, MachineSaving, SpareSpec } from "../hypervisor.ts";
import type { SpareLine } from "../xml/machine.ts";
import { Connection } from "./connection.ts";
import type { ConnectionOptions } from "./connection.ts";
import { prepareConsoleLog } from "./console-log.ts";
import type { Owner } from "./console-log.ts";
import { unlessAbsent } from "./listing.ts";
import type { Session } from "./session.ts";

/** Makes a domain run that is not there: by booting it, or from a saved state. */
export type Start = (connection: Connection) => Promise<void>;

/** What of it differs between QEMU's kinds. */
export interface SavingFlavour {
  readonly xml: (spec: DomainSpec, line: SpareLine) => string;
  /** The guest sees the host's own processor, and the host's kernel keeps part of its state. */
  readonly dependsOnHost: boolean;
}

/** What the driver lends. */
export interface SavingOptions {
  readonly session: Session;
  readonly connection: ConnectionOptions;
  readonly consoleOwner?: () => Promise<Owner>;
  readonly start: (spec: DomainSpec, start: Start, signal?: AbortSignal) => Promise<void>;
}

/** For what the description wants and nothing ever sees: no packet comes to or from a spare. */
const NOBODY: DomainSpec["identity"] = {
  hostname: "spare",
  service: "spare",
  version: 0,
  authorizedKey: "",
  link: {
    interfaceName: "spare",
    mac: "52:54:00:00:00:00",
    address: "0.0.0.0",
    gateway: "0.0.0.0",
    managementAddress: "0.0.0.0",
    mtu: 1484,
    ephemeralPorts: [1024, 65_535],
  },
};

export class LibvirtSaving implements MachineSaving {
  readonly #flavour: SavingFlavour;
  readonly #options: SavingOptions;

  constructor(flavour: SavingFlavour, options: SavingOptions) {
    this.#flavour = flavour;
    this.#options = options;
  }

  async circumstances(spec: SpareSpec): Promise<string> {
    const versions = await this.#options.session.run(async (connection) => [
      connection.libVersion,
      await connection.hypervisorVersion(),
    ]);
    // Names and places differ from one to the next and change nothing of the machine.
    const nameless = { ...spec, name: "spare", consoleLog: "/log", socket: "/line" };
    const disk = { ...spec.disk, path: "/disk" };
    return JSON.stringify({
      versions,
      xml: this.#templateXml({ ...nameless, disk }),
      ...(this.#flavour.dependsOnHost ? { host: await host() } : {}),
    });
  }

  async save(spec: SpareSpec, file: string, ready: () => Promise<void>, signal: AbortSignal): Promise<void> {
    await prepareConsoleLog(spec.consoleLog, await this.#options.consoleOwner?.());
    // libvirtd ends the machine with this connection, which the kernel closes if we die.
    const connection = await Connection.open(this.#options.connection);
    const close = (): void => void connection.close();
    signal.addEventListener("abort", close, { once: true });
    try {
      signal.throwIfAborted();
      const domain = await connection.createDomain(this.#templateXml(spec), { autodestroy: true });
      try {
        await ready();
        await domain.save(file);
      } finally {
        await unlessAbsent(domain.destroy()).catch(() => undefined);
      }
    } finally {
      signal.removeEventListener("abort", close);
      await connection.close();
    }
  }

  cloneXml(spec: DomainSpec, socket: string): string {
    return this.#flavour.xml(spec, { socket, template: false });
  }

  async restore(spec: DomainSpec, file: string, signal?: AbortSignal): Promise<void> {
    await this.#options.start(spec, (connection) => connection.restoreDomain(file), signal);
  }

  #templateXml({ socket, ...spec }: SpareSpec): string {
    return this.#flavour.xml({ ...spec, identity: NOBODY }, { socket, template: true });
  }
}

/** What of this machine a guest sees under KVM. */
async function host(): Promise<readonly string[]> {
  const lines = (await readFile("/proc/cpuinfo", "utf8")).split("\n");
  const kinds = ["vendor_id", "model", "model name", "stepping", "microcode", "flags"];
  const seen = kinds.map((kind) => lines.find((line) => line.split("\t")[0]?.trim() === kind) ?? "");
  return [release(), ...seen];
}
