/**
 * The listening sockets of one proxy, held here too, so that clients wait instead of being refused while it is down; of
 * UDP ports as many datagrams as the socket's buffer takes.
 */
import { closeSync } from "node:fs";
import type { PortSpec } from "@version-manager/version-router";
import { copyListener, listen } from "./sockets.ts";

export class Listeners {
  readonly #address: string;
  readonly #byPort = new Map<PortSpec, number>();

  constructor(address: string) {
    this.#address = address;
  }

  /** Opens what is not open. Throws E_PORT_TAKEN, E_PROXY; then what it opened is closed again. */
  open(ports: readonly PortSpec[]): void {
    const opened: PortSpec[] = [];
    try {
      for (const port of ports) {
        if (this.#byPort.has(port)) continue;
        this.#byPort.set(port, listen(this.#address, port));
        opened.push(port);
      }
    } catch (error) {
      for (const port of opened) this.#close(port);
      throw error;
    }
  }

  /** Takes copies from a process that has them open. Returns the ports for which that did not work. */
  copyFrom(pid: number, listeners: readonly { readonly port: PortSpec; readonly fd: number }[]): PortSpec[] {
    return listeners.flatMap(({ port, fd }) => {
      const copy = copyListener(pid, fd, this.#address, port);
      if (copy === undefined) return [port];
      this.#close(port);
      this.#byPort.set(port, copy);
      return [];
    });
  }

  descriptorOf(port: PortSpec): number {
    return this.#byPort.get(port) as number;
  }

  closeAll(): void {
    this.closeAllBut([]);
  }

  closeAllBut(ports: readonly PortSpec[]): void {
    for (const port of this.#byPort.keys()) if (!ports.includes(port)) this.#close(port);
  }

  #close(port: PortSpec): void {
    const fd = this.#byPort.get(port);
    if (fd !== undefined) closeSync(fd);
    this.#byPort.delete(port);
  }
}
