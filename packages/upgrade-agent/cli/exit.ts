/** How a command ends: errors as one line (or JSON), and a documented exit status. */
/**
 * 0 done · 1 it failed · 2 the command line or a file given to it is wrong · 3 something that must run does not answer
 * · 4 refused, because of a signature, a number or the state of the fleet
 */
export type ExitStatus = 0 | 1 | 2 | 3 | 4;

const statusOf: Readonly<Record<string, ExitStatus>> = {
  E_USAGE: 2,
  E_CONFIG: 2,
  E_MANIFEST: 2,
  E_NOT_A_RELEASE: 2,
  E_IMAGE_FORMAT: 2,
  E_BAD_REQUEST: 2,
  E_NO_KEY: 2,
  E_NO_AGENT: 3,
  E_NO_ROUTER: 3,
  E_NO_LIBVIRT: 3,
  E_NO_HYPERVISOR: 3,
  E_NO_DATA_PATH: 3,
  E_NOT_ROOT: 3,
  E_NO_TESTBED: 3,
  E_TESTBED_EXISTS: 4,
  E_TESTBED_BUSY: 4,
  E_SIGNATURE: 4,
  E_RELEASE_UNSIGNED: 4,
  E_RELEASE_ALTERED: 4,
  E_VERSION_NOT_NEWER: 4,
  E_RETIRE_TOO_EARLY: 4,
  E_COMPARE_GATE: 4,
  E_NOT_QUARANTINED: 4,
  E_NO_VERSION: 4,
  E_IMAGE_ALTERED: 4,
  E_NO_IMAGE: 4,
};

/** Our codes begin with `E_`, whichever package they come from; those of the system do not. */
function codeOf(error: unknown): string {
  const code = error instanceof Error && "code" in error ? String(error.code) : "";
  return code.startsWith("E_") ? code : "E_INTERNAL";
}

export function exitStatusOf(error: unknown): ExitStatus {
  return statusOf[codeOf(error)] ?? 1;
}

export function describeError(error: unknown, json: boolean): string {
  const code = codeOf(error);
  const message = error instanceof Error ? error.message : String(error);
  return json ? JSON.stringify({ error: { code, message } }) : `vm-upgrade: ${code}: ${message}`;
}
