/** What an image says about its program: its environment and how it is started, as two scripts. Pure. */
import { z } from "zod";
import { quoteWord } from "../../remote/shell.ts";
import { toolsPath } from "../build/tools.ts";
import { ID_MAX } from "./limits.ts";
import { format } from "./tar-stream.ts";

const text = z
  .string()
  .max(65_536)
  .refine((value) => !value.includes("\0"), "has a NUL");
const words = z.array(text).max(1_024).nullish();

const schema = z.object({
  architecture: z.string().max(64).optional(),
  os: z.string().max(64).optional(),
  config: z
    .object({
      Env: words,
      Entrypoint: words,
      Cmd: words,
      WorkingDir: text.nullish(),
      User: text.nullish(),
      StopSignal: text.nullish(),
    })
    .nullish(),
});

export interface ImageProgram {
  /** `NAME=value` */
  readonly environment: readonly string[];
  /** Entrypoint and Cmd; empty when the image names no program. */
  readonly command: readonly string[];
  readonly workingDirectory: string;
  /** As the image writes it: empty, a name or number, perhaps with a group. */
  readonly user: string;
}

export const noProgram: ImageProgram = { environment: [], command: [], workingDirectory: "/", user: "" };

/** Throws E_IMAGE_FORMAT, also for images of another architecture. */
export function imageProgram(config: unknown): ImageProgram {
  const parsed = schema.safeParse(config);
  if (!parsed.success) throw format("its configuration is wrong", parsed.error);
  const { architecture = "amd64", os = "linux" } = parsed.data;
  if (architecture !== "amd64" || os !== "linux")
    throw format(`it is made for ${JSON.stringify(`${os}/${architecture}`)}; linux/amd64 is needed`);
  const { Env, Entrypoint, Cmd, WorkingDir, User } = parsed.data.config ?? {};
  return {
    environment: (Env ?? []).filter((line) => /^[A-Za-z_]\w*=/.test(line)),
    command: [...(Entrypoint ?? []), ...(Cmd ?? [])],
    workingDirectory: WorkingDir === null || WorkingDir === undefined || WorkingDir === "" ? "/" : WorkingDir,
    user: User ?? "",
  };
}

const pathDefault = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/** Sourced by root's shell: the image's variables, and our programs behind its own. */
export function environmentScript({ environment }: ImageProgram): string {
  const variables = new Map([["PATH", pathDefault]]);
  for (const line of environment) {
    const cut = line.indexOf("=");
    variables.set(line.slice(0, cut), line.slice(cut + 1));
  }
  variables.set("PATH", `${variables.get("PATH")}:/${toolsPath}/bin`);
  return [...variables].map(([name, value]) => `export ${name}=${quoteWord(value)}\n`).join("");
}

/** `vm-entrypoint`, which a release's start hook can name. More words replace the image's own Cmd and Entrypoint. */
export function entrypointScript(program: ImageProgram, ids: UserIds): string {
  const place = `/${toolsPath}/bin`;
  if (program.command.length === 0) {
    return `#!${place}/busybox sh\necho "vm-entrypoint: the image names no program; write the start hook out" >&2\nexit 78\n`;
  }
  const become =
    ids.uid === 0 && ids.gid === 0
      ? ""
      : `${place}/setpriv --reuid ${ids.uid} --regid ${ids.gid} --clear-groups `;
  return [
    `#!${place}/busybox sh`,
    "# What the image itself would start.",
    `. /${toolsPath}/environment`,
    `mkdir -p ${quoteWord(program.workingDirectory)} && cd ${quoteWord(program.workingDirectory)} || exit 1`,
    `exec ${become}${program.command.map(quoteWord).join(" ")}`,
    "",
  ].join("\n");
}

export interface UserIds {
  readonly uid: number;
  readonly gid: number;
}

/**
 * `User` of the configuration: names are looked up in the image's own /etc/passwd and /etc/group, numbers taken as they
 * are, with the group of that user's line, or 0. Throws E_IMAGE_FORMAT for a name that is not there.
 */
export function userIds(user: string, passwd: string, group: string): UserIds {
  const [userWord = "", groupWord] = user.split(":");
  if (userWord === "" && groupWord === undefined) return { uid: 0, gid: 0 };
  const line = linesOf(passwd).find(([name, , uid]) => name === userWord || uid === userWord);
  const uid = line === undefined ? idOf(userWord) : idOf(line[2] ?? "");
  if (uid === undefined) throw format(`its User ${JSON.stringify(user)} is not in its /etc/passwd`);
  if (groupWord === undefined || groupWord === "") return { uid, gid: idOf(line?.[3] ?? "0") ?? 0 };
  const groupLine = linesOf(group).find(([name]) => name === groupWord);
  const gid = idOf(groupLine?.[2] ?? groupWord);
  if (gid === undefined)
    throw format(`the group of its User ${JSON.stringify(user)} is not in its /etc/group`);
  return { uid, gid };
}

function linesOf(file: string): string[][] {
  return file.split("\n").map((line) => line.split(":"));
}

function idOf(word: string): number | undefined {
  return /^\d{1,5}$/.test(word) && Number(word) <= ID_MAX ? Number(word) : undefined;
}
