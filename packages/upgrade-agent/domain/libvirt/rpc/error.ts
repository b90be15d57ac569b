/** libvirt's errors as ours. Sentences are libvirt's own; what to look at are the numbers. */
import { AgentError } from "../../../errors.ts";
import type { RemoteError } from "./protocol.ts";

/** `virErrorNumber` of virterror.h, as far as we decide by them. */
export const LibvirtCode = { noDomain: 42, operationInvalid: 55 } as const;

/** E_LIBVIRT: the daemon answered, and the answer was no. */
export class LibvirtError extends AgentError {
  /** `virErrorNumber` */
  readonly libvirtCode: number;
  /** `virErrorDomain`: which part of libvirt it came from. */
  readonly libvirtDomain: number;

  constructor(procedure: string, error: RemoteError) {
    const sentence = error.message.trim().replace(/\.?$/, ".");
    super(
      "E_LIBVIRT",
      `libvirt refused ${procedure} (code ${error.code}, domain ${error.domain}): ${sentence}`,
    );
    this.name = "LibvirtError";
    this.libvirtCode = error.code;
    this.libvirtDomain = error.domain;
  }
}

/** E_NO_LIBVIRT: nobody to ask, or nobody answers. */
export function noLibvirt(socket: string, why: string, cause?: unknown): AgentError {
  const mend =
    "start it with `systemctl start libvirtd`, or as root `libvirtd --daemon` where there is no systemd";
  return new AgentError("E_NO_LIBVIRT", `libvirtd does not answer on ${socket} (${why}); ${mend}.`, cause);
}

/** The call failed because the connection did, so it is worth trying on another. */
export function isLost(error: unknown): boolean {
  return error instanceof AgentError && error.code === "E_NO_LIBVIRT";
}

export function isLibvirt(error: unknown, code: number): boolean {
  return error instanceof LibvirtError && error.libvirtCode === code;
}
