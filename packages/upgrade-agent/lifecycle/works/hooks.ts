/** Running a release's hooks inside its domain, with their output kept in the journal. */
import { AgentError } from "../../errors.ts";
import type { Hook, Manifest } from "../../release/contract.ts";
import type { Session } from "../../remote/index.ts";
import type { Upgrade } from "../machine.ts";
import { otherNodes, type WorkContext } from "./context.ts";

export const appDirectory = "/opt/app";

/** The environment of every hook, see release/contract.ts. */
export function hookEnvironment(context: WorkContext, manifest: Manifest): Record<string, string> {
  return {
    VM_SERVICE: manifest.service,
    VM_VERSION: String(manifest.version),
    VM_LABEL: manifest.label,
    VM_NODE: context.config.node,
    VM_ADDRESS: context.config.serviceAddress,
    VM_PEERS: otherNodes(context).join(","),
  };
}

export interface HookCall {
  readonly name: string;
  readonly hook: Hook;
  readonly environment: Readonly<Record<string, string>>;
  readonly signal: AbortSignal;
}

/** Exit status and output of a hook; only an answer of another status than 0 is not an error here. */
export async function runHook(session: Session, call: HookCall) {
  const command = `cd ${appDirectory} && ${call.hook.command}`;
  const { timeoutMs } = call.hook;
  return session.exec(command, { env: call.environment, timeoutMs, signal: call.signal });
}

/** Throws E_HOOK_FAILED with the end of the output unless the hook exits with 0. */
export async function mustRunHook(
  context: WorkContext,
  upgrade: Upgrade,
  session: Session,
  call: HookCall,
): Promise<void> {
  const { exitCode, output } = await runHook(session, call);
  context.note(upgrade, `hook ${call.name}`, `exit status ${exitCode}\n${output}`);
  if (exitCode === 0) return;
  const tail = output.trim().split("\n").slice(-3).join(" | ").slice(-300);
  const message = `The ${call.name} hook of ${upgrade.service} ${upgrade.version} ended with ${exitCode}: ${tail}`;
  throw new AgentError("E_HOOK_FAILED", message);
}
