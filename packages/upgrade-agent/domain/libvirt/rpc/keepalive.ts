/**
 * libvirt's keepalive (virkeepaliveprotocol.x, program "keep"): either side may ask, the other answers at once, whatever
 * calls are under way. It tells a daemon that hangs from one that is long about starting a domain. Pure.
 */
import { MessageStatus, MessageType } from "./frame.ts";
import type { Packet } from "./frame.ts";

/** `KEEPALIVE_PROGRAM` and `KEEPALIVE_PROTOCOL_VERSION`. */
const PROGRAM = 0x6b65_6570;
const VERSION = 1;

const PING = 1;
const PONG = 2;

export interface KeepAliveOptions {
  /** Milliseconds of silence after which the daemon is asked, and between two questions. */
  readonly intervalMs: number;
  /** Questions without an answer after which it is given up. */
  readonly count: number;
}

/** As libvirt's own clients do: given up after half a minute of silence. */
export const KEEP_ALIVE: KeepAliveOptions = { intervalMs: 5000, count: 5 };

function message(procedure: number): Packet {
  const [type, status] = [MessageType.event, MessageStatus.ok];
  return { program: PROGRAM, version: VERSION, procedure, type, serial: 0, status, payload: Buffer.alloc(0) };
}

export const ping: Packet = message(PING);

/** What the packet, if it is one of this program, is answered with: "none" when it is an answer itself. */
export function answerTo(packet: Packet): Packet | "none" | undefined {
  if (packet.program !== PROGRAM || packet.version !== VERSION) return undefined;
  return packet.procedure === PING ? message(PONG) : "none";
}

/** Counts unanswered questions. Anything that the daemon sends counts as an answer. */
export class KeepAlive {
  readonly #count: number;
  #unanswered = 0;
  #heard = false;

  constructor({ count }: KeepAliveOptions) {
    this.#count = count;
  }

  heard(): void {
    this.#heard = true;
    this.#unanswered = 0;
  }

  /** To be asked once per interval. */
  tick(): "quiet" | "ping" | "dead" {
    if (this.#heard) {
      this.#heard = false;
      return "quiet";
    }
    return ++this.#unanswered > this.#count ? "dead" : "ping";
  }
}
