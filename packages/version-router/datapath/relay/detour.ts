/**
 * Where SYNs and SYN-ACKs of the relay's own sockets get the option that peers with the kernel's data path want: rules
 * route them to an interface of this process, which sends them on marked. All later segments take the straight way.
 */
import { DETOUR_INTERFACE, HAS_OPTION } from "./firewall-marks.ts";
import { SOCKADDR_BYTES, openRaw, openTun, writeSockaddr } from "./sockets.ts";
import { readSyn, withOption } from "./syn-packet.ts";
import { LINUX, sys } from "./system-calls.ts";
import type { Endpoint } from "./endpoint.ts";
import type { RoutedDomain } from "./routes.ts";
import type { StreamScene } from "./scene.ts";
import type { SynPacket } from "./syn-packet.ts";

const PACKET_BYTES_MAX = 2048;

/** A connection, as its SYN shows it. */
export function synKey(sourcePort: number, { address, port }: Endpoint): string {
  return `${sourcePort} ${address} ${port}`;
}

export class Detour {
  readonly #tun = openTun(DETOUR_INTERFACE);
  readonly #raw = openRaw(HAS_OPTION);
  readonly #scene: StreamScene;
  readonly #packet = Buffer.alloc(PACKET_BYTES_MAX);

  constructor(scene: StreamScene) {
    this.#scene = scene;
    scene.poller.add(this.#tun, { onReady: () => this.#readAll() });
  }

  close(): void {
    this.#scene.poller.forget(this.#tun);
    sys.close(this.#tun);
    sys.close(this.#raw);
  }

  #readAll(): void {
    for (;;) {
      const bytes = sys.read(this.#tun, this.#packet, PACKET_BYTES_MAX);
      if (bytes <= 0) return;
      this.#sendMarked(this.#packet.subarray(0, bytes));
    }
  }

  /** A packet that is none of ours (the kernel speaks IPv6 to every interface) is dropped. */
  #sendMarked(packet: Buffer): void {
    const syn = readSyn(packet);
    const domain = syn === undefined ? undefined : this.#domainOf(syn);
    if (syn === undefined || domain === undefined) return;
    const { tally, routes } = this.#scene;
    const marked = withOption(packet, syn, routes().markOf(domain));
    if (marked === undefined) return tally.count(domain, "no_room", 0);
    const to = Buffer.alloc(SOCKADDR_BYTES);
    writeSockaddr(to, 0, syn.destination);
    const flags = LINUX.MSG_DONTWAIT | LINUX.MSG_NOSIGNAL;
    const sent = sys.sendto(this.#raw, marked, marked.length, flags, to, SOCKADDR_BYTES);
    if (sent < 0) tally.count(domain, "kernel_error", 0);
  }

  /** Rules write the slot of an answer into its identification; a SYN is known by its connection. */
  #domainOf({ isAnswer, identification, source, destination }: SynPacket): RoutedDomain | undefined {
    if (isAnswer) return this.#scene.routes().inSlot(identification);
    return this.#scene.optionSyns.get(synKey(source.port, destination));
  }
}
