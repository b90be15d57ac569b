import { CodedError } from "@version-manager/version-router";

/** Every code that the agent and the CLI can answer with; `docs/OPERATIONS.md` says what to do about each. */
export type AgentErrorCode =
  | "E_AGENT_BUSY"
  | "E_BAD_REQUEST"
  | "E_CONFIG"
  | "E_DEADLINE"
  | "E_DISK_FULL"
  | "E_DOMAIN"
  | "E_FETCH"
  | "E_HOOK_FAILED"
  | "E_IMAGE_BUILD"
  | "E_INTERNAL"
  | "E_LIBVIRT"
  | "E_MANIFEST"
  | "E_NO_AGENT"
  | "E_NO_BASE_IMAGE"
  | "E_NO_HYPERVISOR"
  | "E_NO_KEY"
  | "E_NO_LIBVIRT"
  | "E_NO_ROUTER"
  | "E_NO_VERSION"
  | "E_NOT_A_RELEASE"
  | "E_NOT_ROOT"
  | "E_PORT_TAKEN"
  | "E_PROXY"
  | "E_RELEASE_ALTERED"
  | "E_RELEASE_UNSIGNED"
  | "E_RETIRE_TOO_EARLY"
  | "E_SIGNATURE"
  | "E_SSH"
  | "E_TORRENT_MISMATCH"
  | "E_TOO_LARGE"
  | "E_USAGE"
  | "E_VERSION_NOT_NEWER";

export class AgentError extends CodedError<AgentErrorCode> {}
