/** Makes an unpacked root fit to be a domain: our tools in their directory, and the image's own program as a script. */
import { chmod, cp, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { toolsPath } from "../build/tools.ts";
import { entrypointScript, environmentScript, userIds, type ImageProgram } from "./config.ts";
import { directoryInside, openInside } from "./inside.ts";
import { format } from "./tar-stream.ts";

/** Places that are mounted over, or written to, before anything of the root runs. libvirt makes none of them. */
const directories = ["dev", "proc", "sys", "run", "var/log"];
/** Of a passwd or group file; longer ones are not looked at. */
const accountsBytesMax = 1024 * 1024;

/** `tools` is the directory of the base. The name is free: `Unpacker` refuses it. */
export async function graftTools(root: string, tools: string, program: ImageProgram): Promise<void> {
  for (const name of directories) await directoryInside(root, name, () => {});
  const place = join(root, toolsPath);
  await cp(tools, place, {
    recursive: true,
    verbatimSymlinks: true,
    preserveTimestamps: true,
    errorOnExist: true,
  });
  const ids = userIds(program.user, await accounts(root, "etc/passwd"), await accounts(root, "etc/group"));
  await writeFile(join(place, "environment"), environmentScript(program), { mode: 0o644 });
  await writeFile(join(place, "bin/vm-entrypoint"), entrypointScript(program, ids));
  await chmod(join(place, "bin/vm-entrypoint"), 0o755);
}

async function accounts(root: string, path: string): Promise<string> {
  const handle = await openInside(root, path);
  if (handle === undefined) return "";
  try {
    if ((await handle.stat()).size > accountsBytesMax)
      throw format(`its /${path} is longer than any needs to be`);
    return await handle.readFile("utf8");
  } finally {
    await handle.close();
  }
}
