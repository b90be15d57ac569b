/** The file that receives a domain's console: made before the domain, never removed with it. */
import { chown, mkdir, open, readFile } from "node:fs/promises";
import { dirname } from "node:path";
import { AgentError } from "../../errors.ts";

export interface Owner {
  readonly uid: number;
  readonly gid: number;
}

/** Appends to what an earlier life of the domain has left there. Readable by root and, if given, its owner only. */
export async function prepareConsoleLog(path: string, owner?: Owner): Promise<void> {
  await mkdir(dirname(path), { recursive: true });
  const file = await open(path, "a", 0o600);
  await file.close();
  if (owner !== undefined) await chown(path, owner.uid, owner.gid);
}

/** A user of this machine with its own group. Throws E_NO_HYPERVISOR when there is none of that name. */
export async function systemUser(name: string): Promise<Owner> {
  const lines = (await readFile("/etc/passwd", "utf8")).split("\n");
  const [, , uid, gid] = lines.find((line) => line.startsWith(`${name}:`))?.split(":") ?? [];
  if (uid !== undefined && gid !== undefined) return { uid: Number(uid), gid: Number(gid) };
  const mend = `useradd --system --user-group --no-create-home --shell /usr/sbin/nologin ${name}`;
  throw new AgentError("E_NO_HYPERVISOR", `QEMU needs the unprivileged user ${name}; make it with: ${mend}`);
}
