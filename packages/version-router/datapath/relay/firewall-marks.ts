/** Marks by which nftables' rules and the relay's sockets tell each other whose a packet is, and routing tables. Pure. */

/** For the relay's sockets, whatever the destination ("VM"), and the routing table that delivers it. */
export const TO_SOCKETS = 0x564d;
export const TO_SOCKETS_TABLE = 4077;

/** A SYN or SYN-ACK on its way through the relay's own interface, where it gets its option, and the table to there. */
export const TO_DETOUR = 0x564f;
export const TO_DETOUR_TABLE = 4078;

/** Connections in the form of the kernel's data path: this and the slot, on the socket and in conntrack. */
const OF_OPTION = 0x5650_0000;
export const OF_OPTION_MASK = 0xffff_ff00;

export function ofOption(slot: number): number {
  return OF_OPTION | slot;
}

export const ANY_OF_OPTION = OF_OPTION;

/** Answers of the listener for SYNs with an option. */
export const OPTION_ANSWERS = 0x5651_0000;
/** Packets that have their option. */
export const HAS_OPTION = 0x5652_0000;

/** The interface of the detour. */
export const DETOUR_INTERFACE = "vm-relay";
